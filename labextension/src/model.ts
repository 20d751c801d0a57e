import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { everything, type ZoeClient } from './api/client';
import { ServerPartMissing, ZoeApiError, messageOf } from './api/errors';
import { EventStream, type Link } from './api/events';
import type { IEntry, IEntryDetail, IEvent, IExecution, IInfo } from './api/types';
import { Refetcher, isEnded, isQueued, merged, replaceLive } from './merge';
import type { IZoeModel, Phase } from './tokens';

const LIVE = ['submitted', 'queued', 'starting', 'running', 'suspended', 'stopping'];
const STREAM_GRACE_MS = 2000;
/** A long queue is not read again for every one of many events. */
const QUEUE_DELAY_MS = 500;

/** See {@link IZoeModel}. */
export class ZoeModel implements IZoeModel, IDisposable {
  constructor(readonly client: ZoeClient) {
    this._stream = new EventStream(client);
    this._stream.linkChanged.connect(() => this._changed.emit());
    this._stream.received.connect((_, event) => this._onEvent(event));
    this._stream.opened.connect(() => void this._onOpened());
  }

  get phase(): Phase {
    return this._phase;
  }

  get problem(): string {
    return this._problem;
  }

  get link(): Link {
    return this._stream.link;
  }

  get info(): IInfo | null {
    return this._info;
  }

  get executions(): ReadonlyMap<string, IExecution> {
    return this._executions;
  }

  get hasMoreEnded(): boolean {
    return this._endedCursor !== null;
  }

  get entries(): readonly IEntry[] {
    return this._entries;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get ended(): ISignal<this, IExecution> {
    return this._ended;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  activate(): Promise<void> {
    if (this._phase === 'idle') {
      this._activation = this._activate();
    }
    return this._activation;
  }

  refresh(): Promise<void> {
    this._stream.retry();
    if (this._phase !== 'loading') {
      this._activation = this._activate();
    }
    return this._activation;
  }

  async loadMoreEnded(): Promise<void> {
    const page = await this.client.executions({
      state: 'ended',
      limit: 30,
      cursor: this._endedCursor ?? undefined
    });
    this._endedCursor = page.next_cursor ?? null;
    page.items.forEach(execution => this._keep(execution));
    this._changed.emit();
  }

  async fetch(id: string): Promise<IExecution> {
    const execution = await this.client.execution(id);
    this.put(execution);
    return execution;
  }

  put(execution: IExecution): void {
    const older = this._executions.get(execution.id);
    this._keep(execution);
    if (older && !isEnded(older) && isEnded(execution)) {
      this._ended.emit(execution);
    }
    this._changed.emit();
  }

  remove(id: string): void {
    if (this._executions.delete(id)) {
      this._changed.emit();
    }
  }

  entry(name: string): Promise<IEntryDetail> {
    return this.client.entry(name);
  }

  logo(name: string): Promise<string | null> {
    let logo = this._logos.get(name);
    if (!logo) {
      logo = this.client.logo(name).then(
        blob => URL.createObjectURL(blob),
        () => {
          // Asked for again at the next look.
          this._logos.delete(name);
          return null;
        }
      );
      this._logos.set(name, logo);
    }
    return logo;
  }

  dispose(): void {
    this._isDisposed = true;
    this._stream.dispose();
    for (const logo of this._logos.values()) {
      void logo.then(url => url && URL.revokeObjectURL(url));
    }
    Signal.clearData(this);
  }

  private async _activate(): Promise<void> {
    this._setPhase(this._phase === 'ready' ? 'ready' : 'loading');
    try {
      this._info = await this.client.info();
      await this._streamOpens();
      await Promise.all([this._loadShop(), this._loadExecutions()]);
      this._setPhase('ready');
    } catch (error) {
      const phase = error instanceof ServerPartMissing ? 'missing' : 'failed';
      this._setPhase(phase, messageOf(error));
    }
  }

  /** Events from before the lists are read; a network without WebSocket still gets the lists. */
  private _streamOpens(): Promise<void> {
    if (this.link !== 'off') {
      return Promise.resolve();
    }
    return new Promise(resolve => {
      const timer = window.setTimeout(resolve, STREAM_GRACE_MS);
      const onOpened = (): void => {
        window.clearTimeout(timer);
        this._stream.opened.disconnect(onOpened);
        resolve();
      };
      this._stream.opened.connect(onOpened);
      this._stream.open();
    });
  }

  private async _onOpened(): Promise<void> {
    if (this._phase === 'loading') {
      return;
    }
    await this._activate();
  }

  private async _loadShop(): Promise<void> {
    this._entries = await everything(cursor => this.client.shop(cursor));
  }

  private async _loadExecutions(): Promise<void> {
    const [live] = await Promise.all([
      everything(cursor => this.client.executions({ state: LIVE, limit: 200, cursor })),
      this._endedCursor === undefined ? this.loadMoreEnded() : Promise.resolve()
    ]);
    const { executions, gone } = replaceLive(this._executions, live);
    this._executions = executions;
    gone.forEach(id => this._refetcher.mark(id));
    this._changed.emit();
  }

  private _onEvent(event: IEvent): void {
    if (!event.execution_id) {
      return;
    }
    if (event.kind !== 'execution.waiting') {
      this._refetcher.mark(event.execution_id);
    }
    if ([...this._executions.values()].some(isQueued)) {
      this._queue.mark('');
    }
  }

  /** Places in the queue and their reasons may change with any other execution. */
  private async _refetchQueue(): Promise<void> {
    const queued = await everything(cursor =>
      this.client.executions({ state: 'queued', limit: 200, cursor })
    ).catch(() => []);
    for (const execution of queued) {
      const known = this._executions.get(execution.id);
      // Who has left the queue since is known better.
      if (known && isQueued(known)) {
        this._keep(execution);
      }
    }
    this._changed.emit();
  }

  private async _refetch(id: string): Promise<void> {
    try {
      await this.fetch(id);
    } catch (error) {
      if (error instanceof ZoeApiError && error.status === 404) {
        this.remove(id);
      }
    }
  }

  private _keep(execution: IExecution): void {
    this._executions.set(execution.id, merged(this._executions.get(execution.id), execution));
  }

  private _setPhase(phase: Phase, problem = ''): void {
    this._phase = phase;
    this._problem = problem;
    this._changed.emit();
  }

  private _activation: Promise<void> = Promise.resolve();
  private _endedCursor: string | null | undefined = undefined;
  private _entries: readonly IEntry[] = [];
  private _executions = new Map<string, IExecution>();
  private _info: IInfo | null = null;
  private _isDisposed = false;
  private _phase: Phase = 'idle';
  private _problem = '';
  private readonly _changed = new Signal<this, void>(this);
  private readonly _ended = new Signal<this, IExecution>(this);
  private readonly _logos = new Map<string, Promise<string | null>>();
  private readonly _refetcher = new Refetcher(id => this._refetch(id), later);
  private readonly _queue = new Refetcher(() => this._refetchQueue(), later, QUEUE_DELAY_MS);
  private readonly _stream: EventStream;
}

function later(run: () => void, delayMs: number): void {
  window.setTimeout(run, delayMs);
}
