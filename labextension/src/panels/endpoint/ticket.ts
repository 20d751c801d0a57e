import type { IDisposable } from '@lumino/disposable';

import type { ZoeClient } from '../../api/client';
import type { IEndpoint, IExecution } from '../../api/types';

const RENEW_MS = 5 * 60 * 1000;

/**
 * The address of a page that is not trusted: it shows the page without Jupyter's cookies, and lives on only
 * while it is renewed.
 */
export class TicketKeeper implements IDisposable {
  constructor(
    private readonly _client: ZoeClient,
    private readonly _execution: IExecution,
    private readonly _endpoint: IEndpoint,
    private readonly _show: (url: string) => void
  ) {}

  get isDisposed(): boolean {
    return this._timer === null;
  }

  dispose(): void {
    window.clearInterval(this._timer ?? undefined);
    this._timer = null;
  }

  /** Show the page; with a ticket of its own, whatever became of the one before. */
  async show(): Promise<void> {
    this._ticket = '';
    await this._renew();
  }

  private async _renew(): Promise<void> {
    const { id } = this._execution;
    const { ticket, url } = await this._client.ticket(id, this._endpoint.name, this._ticket);
    if (this.isDisposed || ticket === this._ticket) {
      return;
    }
    this._ticket = ticket;
    this._show(this._client.pageUrl(url));
  }

  private _ticket = '';
  /** A server that does not answer is asked again; an execution that has ended has no page any more. */
  private _timer: number | null = window.setInterval(() => {
    this._renew().catch(() => undefined);
  }, RENEW_MS);
}
