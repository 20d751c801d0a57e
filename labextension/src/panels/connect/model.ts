import { Notification, showErrorMessage } from '@jupyterlab/apputils';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal, type ISignal } from '@lumino/signaling';

import { messageOf } from '../../api/errors';
import type { IExecution } from '../../api/types';
import { byAge, isEnded, nameToAttach } from '../../merge';
import type {
  INotebookLink,
  IZoeConnector,
  IZoeModel,
  IZoeSettings,
  LinkStatus
} from '../../tokens';
import { attachedIn, attachCode, detachCode } from './code';
import { KernelError, runInKernel } from './kernel';

const METADATA = 'zoe';
const KERNEL_LABEL = 'zoe/kernel';
const MENTIONS_ZOE = /\bzoe/;
const DEAD = new Set(['restarting', 'autorestarting', 'dead', 'terminating']);

type Executed =
  typeof NotebookActions.executed extends ISignal<unknown, infer Event> ? Event : never;

interface IChoice {
  /** What `%zoe attach` was given. */
  use: string;
  /** Name of the execution. */
  name: string;
}

export interface ILinkContext {
  model: IZoeModel;
  settings: IZoeSettings;
  trans: TranslationBundle;
}

/** See {@link INotebookLink}. */
export class NotebookLink implements INotebookLink {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _context: ILinkContext
  ) {
    const { sessionContext } = _panel;
    sessionContext.kernelChanged.connect(() => void this._onKernelChanged());
    sessionContext.statusChanged.connect((_, status) => this._onStatus(status));
    _context.model.changed.connect(this._emit);
    NotebookActions.executed.connect(this._onExecuted);
    void _panel.context.ready.then(() => this._restore());
    _panel.disposed.connect(() => this._clear());
  }

  get status(): LinkStatus {
    return this._status;
  }

  get target(): string {
    return this._choice?.name ?? '';
  }

  get progress(): string {
    return this._progress;
  }

  get obstacle(): string {
    return this._obstacle;
  }

  get execution(): IExecution | null {
    const name = this._choice?.name;
    const known = [...this._context.model.executions.values()].filter(one => one.name === name);
    return known.sort((a, b) => Number(isEnded(a)) - Number(isEnded(b)) || byAge(a, b))[0] ?? null;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  async attach(name: string): Promise<boolean> {
    const kernel = await this._readyKernel();
    if (!kernel || this._status === 'connecting') {
      return false;
    }
    const before = this._choice;
    this._isCancelled = false;
    this._choose({ use: name, name });
    this._setStatus('connecting');
    try {
      await this._announce(runInKernel(kernel, attachCode(name), { onProgress: this._onProgress }));
      this._choose({ use: name, name: await this._nameOf(name, kernel) }, true);
      this._setStatus('connected');
      return true;
    } catch (error) {
      this._choose(before);
      this._setStatus(before ? 'lost' : 'none');
      // What it was attached to before, it may be still.
      void this.look();
      await this._explain(error, name);
      return false;
    }
  }

  /** Attach again: to the same one, or to a new one of its kind when that has gone. */
  reattach(): Promise<boolean> {
    const { execution } = this;
    const name = execution && !isEnded(execution) ? nameToAttach(execution) : this._choice?.use;
    return name ? this.attach(name) : Promise.resolve(false);
  }

  async detach(): Promise<void> {
    const kernel = this._kernel;
    const name = this.target;
    if (kernel && this._status === 'connected') {
      try {
        await runInKernel(kernel, detachCode(name));
      } catch (error) {
        await showErrorMessage(this._context.trans.__('Could not detach'), messageOf(error));
      }
    }
    this._choose(null, true);
    this._setStatus('none');
  }

  async cancel(): Promise<void> {
    if (this._status === 'connecting') {
      this._isCancelled = true;
      await this._kernel?.interrupt();
    }
  }

  private get _kernel(): Kernel.IKernelConnection | null {
    return this._panel.sessionContext.session?.kernel ?? null;
  }

  private async _readyKernel(): Promise<Kernel.IKernelConnection | null> {
    const { trans } = this._context;
    await this._panel.sessionContext.ready;
    if (!this._kernel) {
      await showErrorMessage(trans.__('This notebook has no kernel'), trans.__('Start one first.'));
    } else if (this._obstacle) {
      await showErrorMessage(trans.__('This notebook cannot attach'), this._obstacle);
    }
    return this._obstacle ? null : this._kernel;
  }

  private readonly _onProgress = (line: string): void => {
    this._progress = line;
    this._emit();
  };

  /** The progress where it is seen, also with the toolbar out of sight. */
  private async _announce(running: Promise<void>): Promise<void> {
    const { trans } = this._context;
    const file = this._panel.title.label;
    const id = Notification.emit(
      trans.__('%1: connecting to %2…', file, this.target),
      'in-progress',
      {
        autoClose: false
      }
    );
    const follow = (): void => {
      const message = shortened(`${file}: ${this._progress}`);
      Notification.update({ id, message, type: 'in-progress', autoClose: false });
    };
    this._changed.connect(follow);
    try {
      await running;
      const message = trans.__('%1 is connected.', file);
      Notification.update({ id, message, type: 'success', autoClose: 3000 });
    } catch (error) {
      Notification.dismiss(id);
      throw error;
    } finally {
      this._changed.disconnect(follow);
    }
  }

  private async _explain(error: unknown, name: string): Promise<void> {
    const { trans } = this._context;
    if (this._isCancelled) {
      Notification.info(shortened(messageOf(error) || trans.__('Cancelled.')), { autoClose: 5000 });
      return;
    }
    const missing = error instanceof KernelError && error.ename === 'ModuleNotFoundError';
    const message = missing
      ? trans.__('%1. In the environment of this kernel: pip install zoe-jupyter', messageOf(error))
      : messageOf(error);
    await showErrorMessage(trans.__('Could not connect to %1', name), message);
  }

  /** The execution that the kernel got: itself, or what was started of the shop entry. */
  private async _nameOf(use: string, kernel: Kernel.IKernelConnection): Promise<string> {
    const attached = await attachedIn(kernel);
    if (attached?.length) {
      return attached.includes(use) ? use : attached[attached.length - 1];
    }
    const page = await this._context.model.client.executions({ state: 'running', limit: 200 });
    page.items.forEach(execution => this._context.model.put(execution));
    const own = page.items.filter(
      one =>
        one.name === use ||
        one.id === use ||
        (one.entry === use && one.labels[KERNEL_LABEL] === kernel.id)
    );
    return own.sort(byAge)[0]?.name ?? use;
  }

  private async _restore(): Promise<void> {
    const saved = this._panel.content.model?.getMetadata(METADATA) as Partial<IChoice> | undefined;
    if (saved?.use && saved.name) {
      this._choice = { use: saved.use, name: saved.name };
      this._setStatus('lost');
    }
    await this._panel.sessionContext.ready;
    await this._onKernelChanged();
  }

  private async _onKernelChanged(): Promise<void> {
    const kernel = this._kernel;
    this._obstacle = kernel ? await this._obstacleOf(kernel) : '';
    if (kernel && !this._obstacle && this._status !== 'connecting') {
      await this.look();
    }
    this._emit();
  }

  /** Ask the kernel itself what it is attached to. */
  async look(): Promise<void> {
    const kernel = this._kernel;
    const attached = kernel && !this._obstacle ? await attachedIn(kernel) : null;
    if (!attached || this._status === 'connecting') {
      return;
    }
    const name = attached[attached.length - 1];
    if (name) {
      this._choose({ use: this._choice?.name === name ? this._choice.use : name, name });
      this._setStatus('connected');
    } else if (this._choice) {
      this._setStatus('lost');
    }
  }

  private async _obstacleOf(kernel: Kernel.IKernelConnection): Promise<string> {
    const { language_info: language } = await kernel.info;
    return language.name === 'python'
      ? ''
      : this._context.trans.__(
          'Only Python kernels can be attached; this one speaks %1.',
          language.name
        );
  }

  private _onStatus(status: Kernel.Status): void {
    if (DEAD.has(status) && this._status === 'connected') {
      this._setStatus('lost');
      this._isRestarting = true;
    } else if (status === 'idle' && this._isRestarting) {
      this._isRestarting = false;
      if (this._context.settings.reattach) {
        void this.reattach();
      }
    }
  }

  private _choose(choice: IChoice | null, isSaved = false): void {
    this._choice = choice;
    const notebook = this._panel.content.model;
    if (!isSaved || !notebook) {
      return;
    }
    if (choice) {
      notebook.setMetadata(METADATA, { ...choice });
    } else {
      notebook.deleteMetadata(METADATA);
    }
  }

  private _setStatus(status: LinkStatus): void {
    this._status = status;
    if (status !== 'none') {
      void this._context.model.activate();
    }
    if (status !== 'connecting') {
      this._progress = '';
    }
    this._emit();
  }

  private _clear(): void {
    this._context.model.changed.disconnect(this._emit);
    NotebookActions.executed.disconnect(this._onExecuted);
    Signal.clearData(this);
  }

  /** A cell may attach or detach too. */
  private readonly _onExecuted = (_: unknown, { cell, notebook }: Executed): void => {
    if (notebook === this._panel.content && MENTIONS_ZOE.test(cell.model.sharedModel.getSource())) {
      void this.look();
    }
  };

  private readonly _emit = (): void => {
    this._changed.emit();
  };

  private _choice: IChoice | null = null;
  private _isCancelled = false;
  private _isRestarting = false;
  private _obstacle = '';
  private _progress = '';
  private _status: LinkStatus = 'none';
  private readonly _changed = new Signal<this, void>(this);
}

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

// Notifications take 140 characters.
function shortened(text: string): string {
  return text.length > 140 ? `${text.slice(0, 139)}…` : text;
}
