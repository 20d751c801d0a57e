import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import type { IZoeConnector, IZoeModel } from '../../tokens';

/** What the sections of the side panel are given. */
export interface IPanelProps {
  commands: CommandRegistry;
  connector: IZoeConnector | null;
  model: IZoeModel;
  trans: TranslationBundle;
}
