import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal, type ISignal } from '@lumino/signaling';

import type { IZoeSettings, Lifetime } from './tokens';

/** The schema file: `schema/plugin.json`. */
export const SETTINGS_ID = 'zoe-jupyter:plugin';

const DEFAULTS = {
  confirmStop: true,
  defaultLifetime: 'entry' as Lifetime,
  logLines: 5000,
  reattach: false,
  notifyEnds: true
};

/** See {@link IZoeSettings}. */
export class ZoeSettings implements IZoeSettings {
  get confirmStop(): boolean {
    return this._values.confirmStop;
  }

  get defaultLifetime(): Lifetime {
    return this._values.defaultLifetime;
  }

  get logLines(): number {
    return this._values.logLines;
  }

  get reattach(): boolean {
    return this._values.reattach;
  }

  get notifyEnds(): boolean {
    return this._values.notifyEnds;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Follow the registry from now on. */
  async load(registry: ISettingRegistry): Promise<void> {
    const settings = await registry.load(SETTINGS_ID);
    this._take(settings);
    settings.changed.connect(() => this._take(settings));
  }

  private _take(settings: ISettingRegistry.ISettings): void {
    this._values = { ...DEFAULTS, ...(settings.composite as Partial<typeof DEFAULTS>) };
    this._changed.emit();
  }

  private _values = DEFAULTS;
  private readonly _changed = new Signal<this, void>(this);
}
