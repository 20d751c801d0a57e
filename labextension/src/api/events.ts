import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import type { ZoeClient } from './client';
import type { IEvent } from './types';

/** Whether news comes in: `off` before the first use and after the end. */
export type Link = 'off' | 'connecting' | 'live' | 'reconnecting';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;

/** How long to wait before the next try; never in step with the other browsers. */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  return Math.round(ceiling * (0.5 + random / 2));
}

/** The event log as a stream that comes back by itself, from where it stopped. */
export class EventStream implements IDisposable {
  constructor(private readonly _client: ZoeClient) {
    window.addEventListener('online', this._tryNow);
  }

  get link(): Link {
    return this._link;
  }

  get linkChanged(): ISignal<this, Link> {
    return this._linkChanged;
  }

  /** Each event once, in order. */
  get received(): ISignal<this, IEvent> {
    return this._received;
  }

  /** It is open, at first or again: the server may be another one than before. */
  get opened(): ISignal<this, void> {
    return this._opened;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  open(): void {
    if (this._link === 'off') {
      this._setLink('connecting');
      this._connect();
    }
  }

  /** Do not wait for the next try. */
  retry(): void {
    this._tryNow();
  }

  dispose(): void {
    this._isDisposed = true;
    window.removeEventListener('online', this._tryNow);
    window.clearTimeout(this._timer);
    this._close();
    this._setLink('off');
    Signal.clearData(this);
  }

  private _connect(): void {
    window.clearTimeout(this._timer);
    const socket = new this._client.settings.WebSocket(this._client.eventsUrl(this._seq));
    this._socket = socket;
    socket.onopen = () => {
      this._attempt = 0;
      this._setLink('live');
      this._opened.emit();
    };
    socket.onmessage = ({ data }) => this._take(String(data));
    socket.onclose = () => this._lost(socket);
  }

  private _take(data: string): void {
    // Empty messages keep the way through proxies open.
    const event = JSON.parse(data.trim() || '{}') as Partial<IEvent>;
    if (typeof event.seq === 'number') {
      this._seq = event.seq;
      this._received.emit(event as IEvent);
    }
  }

  private _lost(socket: WebSocket): void {
    if (this._isDisposed || socket !== this._socket) {
      return;
    }
    this._socket = null;
    this._setLink('reconnecting');
    const delay = backoffMs(this._attempt++, Math.random());
    this._timer = window.setTimeout(() => this._connect(), delay);
  }

  private readonly _tryNow = (): void => {
    if (this._link === 'reconnecting') {
      this._close();
      this._connect();
    }
  };

  private _close(): void {
    const socket = this._socket;
    this._socket = null;
    socket?.close();
  }

  private _setLink(link: Link): void {
    if (this._link !== link) {
      this._link = link;
      this._linkChanged.emit(link);
    }
  }

  private _attempt = 0;
  private _isDisposed = false;
  private _link: Link = 'off';
  private _seq: number | null = null;
  private _socket: WebSocket | null = null;
  private _timer = 0;
  private readonly _opened = new Signal<this, void>(this);
  private readonly _linkChanged = new Signal<this, Link>(this);
  private readonly _received = new Signal<this, IEvent>(this);
}
