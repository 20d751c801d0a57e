import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Signal, type ISignal } from '@lumino/signaling';

import type { IZoeConnector } from '../../tokens';
import { NotebookLink, type ILinkContext } from './model';

/** See {@link IZoeConnector}. */
export class ZoeConnector implements IZoeConnector {
  constructor(
    private readonly _tracker: INotebookTracker,
    private readonly _context: ILinkContext
  ) {
    _tracker.currentChanged.connect(() => this._currentChanged.emit());
  }

  get current(): NotebookLink | null {
    const panel = this._tracker.currentWidget;
    return panel && this.of(panel);
  }

  get currentChanged(): ISignal<this, void> {
    return this._currentChanged;
  }

  of(panel: NotebookPanel): NotebookLink {
    let link = this._links.get(panel);
    if (!link) {
      link = new NotebookLink(panel, this._context);
      this._links.set(panel, link);
    }
    return link;
  }

  private readonly _currentChanged = new Signal<this, void>(this);
  private readonly _links = new WeakMap<NotebookPanel, NotebookLink>();
}
