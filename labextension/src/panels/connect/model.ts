import {
  SessionContextDialogs,
  showErrorMessage,
  type ISessionContext
} from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal, type ISignal } from '@lumino/signaling';

import { messageOf } from '../../api/errors';
import type { IExecution } from '../../api/types';
import { Parts, byAge, isEnded, isUp } from '../../merge';
import type { INotebookLink, IZoeModel, IZoeSettings, LinkStatus } from '../../tokens';
import {
  attachCode,
  attachedIn,
  attaches,
  detachCode,
  isMeant,
  mentionsZoe,
  savedIn,
  type IHeld
} from './code';
import { KernelGone, infoOf, isIdle, runInKernel, stepOf } from './kernel';
import { announce, explain, tell } from './tell';

const METADATA = 'zoe';
/** What follows the last step of a cell that attaches. */
const AFTER = new Set(['display_data', 'execute_result', 'error', 'status']);
const DEAD = new Set(['restarting', 'autorestarting', 'dead', 'terminating']);

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
    sessionContext.iopubMessage.connect(this._onCell);
    _context.model.changed.connect(this._onModel);
    void _panel.context.ready.then(() => this._restore());
    _panel.disposed.connect(() => this._clear());
  }

  get status(): LinkStatus {
    if (this._begun) {
      return 'connecting';
    }
    return this._status === 'connecting' || this.targets.length ? this._status : 'none';
  }

  get targets(): readonly string[] {
    return this._shown.map(({ name }) => name);
  }

  get target(): string {
    return this._newest?.name ?? '';
  }

  get progress(): string {
    return this._progress;
  }

  get obstacle(): string {
    return this._obstacle;
  }

  get execution(): IExecution | null {
    return this._newest ? this._find(this._newest) : null;
  }

  get left(): readonly IExecution[] {
    const known = this._left.map(one => this._find(one));
    return known.filter((one): one is IExecution => one !== null && isUp(one));
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  isDetaching(id: string): boolean {
    return this._detaching.has(id);
  }

  holds(execution: IExecution): boolean {
    return (
      this.status === 'connected' && this._held.some(one => this._find(one)?.id === execution.id)
    );
  }

  async attach(word: string): Promise<boolean> {
    if (this.status === 'connecting') {
      return false;
    }
    const { model, trans } = this._context;
    const before = this._held;
    const name = model.executions.get(word)?.name ?? word;
    this._cancelled = new PromiseDelegate<null>();
    this._gone = new PromiseDelegate<void>();
    this._isCancelled = false;
    this._held = [...before.filter(one => one.name !== name), { id: '', name }];
    this._setStatus('connecting');
    try {
      const kernel = await Promise.race([this._readyKernel(), this._cancelled.promise]);
      if (kernel) {
        await announce(this, name, this._run(kernel, word), this._panel.title.label, trans);
        this._setStatus('connected');
        return true;
      }
      this._giveUp(before);
    } catch (error) {
      this._giveUp(before);
      await this._explain(error, name);
    }
    return false;
  }

  async reattach(): Promise<boolean> {
    const { model, trans } = this._context;
    await model.activate();
    const executions = this._held.map(one => this._find(one)).filter(one => one && isUp(one));
    if (!executions.length) {
      const nothing = trans.__('Nothing that this notebook was connected to runs any more.');
      tell(model.problem || nothing);
      return false;
    }
    for (const execution of executions) {
      // By its id, which can start nothing.
      if (!execution || !(await this.attach(execution.id))) {
        return false;
      }
    }
    return true;
  }

  async detach(word = ''): Promise<void> {
    if (this._detaching.has(word)) {
      return;
    }
    this._detaching.add(word);
    this._emit();
    try {
      if (this._kernel && this._status === 'connected') {
        await runInKernel(this._kernel, detachCode(word));
      }
      this._letGo(word);
    } catch (error) {
      if (await this._isStillHeld(error, word)) {
        await showErrorMessage(this._context.trans.__('Could not detach'), messageOf(error));
      } else {
        this._letGo(word);
      }
    } finally {
      this._detaching.delete(word);
      this._emit();
    }
  }

  private _letGo(word: string): void {
    this._held = word ? this._held.filter(one => !isMeant(one, word)) : [];
    this._left = word ? this._left : [];
    this._save();
    this._setStatus(this._held.length ? this._status : 'none');
  }

  /** A kernel that has gone, or that was detached meanwhile, is what was wanted. */
  private async _isStillHeld(error: unknown, word: string): Promise<boolean> {
    if (error instanceof KernelGone) {
      return false;
    }
    await this.look();
    return this._status === 'connected' && this._held.some(one => !word || isMeant(one, word));
  }

  async cancel(): Promise<void> {
    if (this.status === 'connecting') {
      this._isCancelled = true;
      this._cancelled.resolve(null);
      // One that cannot be asked, as while its server is away, is not waited for.
      await this._kernel?.interrupt().catch(() => this._gone.resolve());
    }
  }

  private get _kernel(): Kernel.IKernelConnection | null {
    return this._panel.sessionContext.session?.kernel ?? null;
  }

  /** Started where there is none; null when the user wants none. */
  private async _readyKernel(): Promise<Kernel.IKernelConnection | null> {
    const { sessionContext } = this._panel;
    await sessionContext.ready;
    if (this._kernel) {
      // That of a server which has gone may go as well, and another one is started.
      await infoOf(this._kernel).catch(() => null);
    }
    if (!this._kernel && (await sessionContext.startKernel())) {
      await new SessionContextDialogs().selectKernel(sessionContext);
    }
    const kernel = this._kernel;
    this._obstacle = kernel ? await this._obstacleOf(kernel) : '';
    if (this._obstacle) {
      throw new Error(this._obstacle);
    }
    return this._isCancelled ? null : kernel;
  }

  /** Attach, and remember what the kernel has now. */
  private async _run(kernel: Kernel.IKernelConnection, word: string): Promise<void> {
    const gone = this._gone.promise.then(() => {
      throw new KernelGone();
    });
    const ran = runInKernel(kernel, attachCode(word), { onProgress: this._onProgress });
    await Promise.race([ran, gone]);
    const attached = await attachedIn(kernel);
    if (attached) {
      this._hold(attached.held);
      this._left = attached.left;
    }
    this._save();
  }

  private _giveUp(before: readonly IHeld[]): void {
    this._held = before;
    this._setStatus(before.length ? 'lost' : 'none');
    // What it was attached to before, it may be still.
    void this.look();
  }

  private readonly _onProgress = (line: string): void => {
    this._progress = line;
    this._emit();
  };

  private async _explain(error: unknown, name: string): Promise<void> {
    const { trans } = this._context;
    if (this._isCancelled) {
      tell(messageOf(error) || trans.__('Cancelled.'));
    } else if (!this._panel.isDisposed) {
      await explain(error, name, trans);
    }
  }

  /** What is spoken of. */
  private get _shown(): readonly IHeld[] {
    const held = this._held.filter(one => !this._isGone(one));
    // Of what a kernel holds, the end of the newest is told, until that is forgotten.
    const known = this._held.filter(one => this._find(one));
    return held.length || this._status === 'lost' ? held : known.slice(-1);
  }

  private get _newest(): IHeld | undefined {
    return this._shown[this._shown.length - 1];
  }

  /** Whether there is nothing to connect to again, or to speak of. */
  private _isGone(held: IHeld): boolean {
    const { link, phase } = this._context.model;
    if (phase !== 'ready' || this._status === 'connecting') {
      return false;
    }
    const execution = this._find(held);
    if (this._status === 'lost') {
      return !execution || !isUp(execution);
    }
    return execution ? isEnded(execution) : link === 'live' && held.id !== '';
  }

  /** By its id; only as long as that is not known by the name. */
  private _find({ id, name }: IHeld): IExecution | null {
    const { executions } = this._context.model;
    if (id) {
      return executions.get(id) ?? null;
    }
    const known = [...executions.values()].filter(one => one.name === name);
    return known.sort((a, b) => Number(isEnded(a)) - Number(isEnded(b)) || byAge(a, b))[0] ?? null;
  }

  private async _restore(): Promise<void> {
    this._held = savedIn(this._panel.content.model?.getMetadata(METADATA));
    if (this._held.length) {
      this._setStatus('lost');
    }
    await this._panel.sessionContext.ready;
    await this._onKernelChanged();
  }

  private async _onKernelChanged(): Promise<void> {
    const kernel = this._kernel;
    this._obstacle = kernel ? await this._obstacleOf(kernel).catch(() => '') : '';
    if (kernel && !this._obstacle && this._status !== 'connecting') {
      await this.look();
    } else if (!kernel && this._status === 'connected') {
      this._setStatus('lost');
    }
    this._emit();
  }

  /** Ask the kernel itself what it is attached to. */
  async look(): Promise<void> {
    const kernel = this._kernel;
    const attached = kernel && !this._obstacle ? await attachedIn(kernel) : null;
    this._isUnsure = attached === null && kernel !== null && !this._obstacle;
    if (!attached || this._status === 'connecting') {
      return;
    }
    const { held, left } = attached;
    if (held.length || left.length) {
      this._stand(held, left);
    } else if (this._status === 'connected' && !this._isRestarting) {
      this._held = [];
      this._left = [];
      this._setStatus('none');
    } else if (this._held.length) {
      this._setStatus('lost');
    }
  }

  /** What is attached anew consists of what runs now. */
  private _hold(held: readonly IHeld[]): void {
    const before = this._status === 'lost' ? [] : this._held.map(({ id }) => id);
    held.filter(({ id }) => !before.includes(id)).forEach(({ id }) => this._parts.forget(id));
    this._held = held;
  }

  private async _obstacleOf(kernel: Kernel.IKernelConnection): Promise<string> {
    const { language_info: language } = await infoOf(kernel);
    return language.name === 'python'
      ? ''
      : this._context.trans.__(
          'Only Python kernels can be attached; this one speaks %1.',
          language.name
        );
  }

  private _onStatus(status: Kernel.Status): void {
    if (DEAD.has(status)) {
      this._setBegun('');
    }
    if (DEAD.has(status) && this._status === 'connected') {
      this._setStatus('lost');
      this._isRestarting = true;
    } else if (status === 'idle' && this._isRestarting) {
      this._isRestarting = false;
      if (this._context.settings.reattach) {
        void this.reattach();
      }
    } else if (status === 'idle' && this._isUnsure) {
      void this.look();
    }
  }

  private _save(): void {
    const notebook = this._panel.content.model;
    const kept = [...this._left, ...this._held];
    if (kept.length) {
      notebook?.setMetadata(METADATA, { attached: kept.map(one => ({ ...one })) });
    } else {
      notebook?.deleteMetadata(METADATA);
    }
  }

  private _setStatus(status: LinkStatus): void {
    this._status = status;
    if (status !== 'none') {
      void this._context.model.activate();
    }
    this._noteParts();
    if (status !== 'connecting') {
      this._progress = '';
    }
    this._emit();
  }

  private _clear(): void {
    this._context.model.changed.disconnect(this._onModel);
    Signal.clearData(this);
  }

  /** A cell that attaches is told of as it goes, like the toolbar's own attaching. */
  private readonly _onCell = (_: ISessionContext, said: KernelMessage.IMessage): void => {
    const message = said as KernelMessage.IIOPubMessage;
    const { msg_type: type } = message.header;
    const cell = 'msg_id' in message.parent_header ? message.parent_header.msg_id : '';
    if (type === 'execute_input') {
      const { code } = message.content as KernelMessage.IExecuteInputMsg['content'];
      this._telling = mentionsZoe(code) ? cell : '';
      if (this._status !== 'connecting') {
        this._setBegun(attaches(code) ? cell : '');
      }
      return;
    }
    if (cell && cell === this._telling && isIdle(message)) {
      void this.look();
    }
    if (cell && cell === this._begun) {
      const step = stepOf(message);
      this._progress = step ?? this._progress;
      this._setBegun(step === null && AFTER.has(type) ? '' : cell);
    }
  };

  private _setBegun(cell: string): void {
    if (cell && !this._begun) {
      void this._context.model.activate();
    }
    if (!cell && this._begun) {
      this._progress = '';
    }
    this._begun = cell;
    this._emit();
  }

  /** What was suspended or restarted is another one then: the kernel's connection is to the old. */
  private readonly _onModel = (): void => {
    this._noteParts();
    const held = this._status === 'connected' ? this._held : [];
    const left = held.filter(one => {
      const execution = this._find(one);
      return execution && this._parts.isOther(execution);
    });
    if (left.length) {
      left.forEach(({ id }) => this._parts.forget(id));
      const kept = held.filter(one => !left.includes(one));
      this._stand(kept, [...this._left, ...left]);
    }
    this._emit();
  };

  /** Where nothing is held, what was left is what can be connected to again. */
  private _stand(held: readonly IHeld[], left: readonly IHeld[]): void {
    this._hold(held.length ? held : left);
    this._left = held.length ? left : [];
    this._setStatus(held.length ? 'connected' : 'lost');
  }

  private _noteParts(): void {
    for (const one of this._status === 'connected' ? this._held : []) {
      const execution = this._find(one);
      if (execution) {
        this._parts.note(execution);
      }
    }
  }

  private readonly _emit = (): void => {
    this._changed.emit();
  };

  /** The message with which the kernel was asked to run a cell that attaches, until it has. */
  private _begun = '';
  private _isCancelled = false;
  private _cancelled = new PromiseDelegate<null>();
  /** No longer waited for. */
  private _gone = new PromiseDelegate<void>();
  private readonly _detaching = new Set<string>();
  /** What was suspended or started anew, beside what the kernel is attached to. */
  private _left: readonly IHeld[] = [];
  private readonly _parts = new Parts();
  /** The message with which the kernel was asked to run code that may attach or detach. */
  private _telling = '';
  private _isRestarting = false;
  /** The kernel was too busy to say what it is attached to. */
  private _isUnsure = false;
  /** Of what it is attached to, or was before its kernel went. */
  private _held: readonly IHeld[] = [];
  private _obstacle = '';
  private _progress = '';
  private _status: LinkStatus = 'none';
  private readonly _changed = new Signal<this, void>(this);
}
