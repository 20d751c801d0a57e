import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import type { ZoeClient } from '../../api/client';
import { ZoeApiError, isAbort, messageOf } from '../../api/errors';
import { backoffMs } from '../../api/events';
import { LogBuffer } from './logbuffer';

/** `absent`: nothing was written yet. `ended`: all of it is here. `lost`: it comes back by itself. `failed`: refused. */
export type FollowState = 'connecting' | 'absent' | 'following' | 'ended' | 'lost' | 'failed';

const LONGEST_MS = 5000;

interface IWhich {
  id: string;
  service: string;
  limit: number;
}

/** Follows the log of one service for as long as it is wanted. */
export class LogFollower implements IDisposable {
  constructor(
    private readonly _client: ZoeClient,
    private readonly _which: IWhich
  ) {
    this.buffer = new LogBuffer(_which.limit);
    void this._run();
  }

  readonly buffer: LogBuffer;

  get state(): FollowState {
    return this._state;
  }

  get problem(): string {
    return this._problem;
  }

  /** The state, or lines. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._abort.signal.aborted;
  }

  dispose(): void {
    this._abort.abort();
    Signal.clearData(this);
  }

  private async _run(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this._follow();
        this._set('ended');
        return;
      } catch (error) {
        if (isAbort(error)) {
          return;
        }
        this._set(stateAfter(error), messageOf(error));
        if (this._state === 'failed') {
          return;
        }
        await this._pause(Math.min(LONGEST_MS, backoffMs(attempt, Math.random())));
      }
      if (this.isDisposed) {
        return;
      }
    }
  }

  private async _follow(): Promise<void> {
    const { id, service, limit } = this._which;
    const response = await this._client.logs(id, {
      service,
      tail: limit,
      follow: true,
      signal: this._abort.signal
    });
    this.buffer.clear();
    this._set('following');
    const decoder = new TextDecoder();
    const reader = response.body?.getReader();
    for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
      this.buffer.push(decoder.decode(piece.value, { stream: true }));
      this._changed.emit();
    }
    this.buffer.push(decoder.decode());
    this.buffer.finish();
  }

  private _pause(delayMs: number): Promise<void> {
    return new Promise(resolve => {
      const timer = window.setTimeout(resolve, delayMs);
      this._abort.signal.addEventListener('abort', () => {
        window.clearTimeout(timer);
        resolve();
      });
    });
  }

  private _set(state: FollowState, problem = ''): void {
    this._state = state;
    this._problem = problem;
    this._changed.emit();
  }

  private _problem = '';
  private _state: FollowState = 'connecting';
  private readonly _abort = new AbortController();
  private readonly _changed = new Signal<this, void>(this);
}

// A service that has not been launched yet has no log.
function stateAfter(error: unknown): FollowState {
  if (!(error instanceof ZoeApiError) || error.status >= 500) {
    return 'lost';
  }
  return error.status === 404 ? 'absent' : 'failed';
}
