import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { again, isRepeatable } from './again';
import { ServerPartMissing, Unreachable, ZoeApiError, isAbort, messageOf } from './errors';
import type {
  ICheck,
  IEntry,
  IEntryDetail,
  IExecution,
  IInfo,
  INode,
  IPage,
  ISample,
  ISubmission,
  ITicket
} from './types';

type Query = Record<string, string | number | readonly string[] | undefined>;

export type TargetVerb = 'stop' | 'restart' | 'suspend' | 'resume';

interface IErrorAnswer {
  message?: string;
  reason?: string;
  details?: Record<string, unknown>;
}

/** Zoe's REST interface, one method for each verb that the panels need. */
export class ZoeClient {
  constructor(readonly settings: ServerConnection.ISettings) {}

  info(): Promise<IInfo> {
    return this._json<IInfo>('info');
  }

  shop(cursor = ''): Promise<IPage<IEntry>> {
    return this._json<IPage<IEntry>>(`shop${query({ limit: 200, cursor })}`);
  }

  entry(name: string): Promise<IEntryDetail> {
    return this._json<IEntryDetail>(`shop/${encodeURIComponent(name)}`);
  }

  async logo(name: string): Promise<Blob> {
    const response = await this._fetch(`shop/${encodeURIComponent(name)}/logo`);
    return response.blob();
  }

  nodes(cursor = ''): Promise<IPage<INode>> {
    return this._json<IPage<INode>>(`cluster${query({ limit: 200, cursor })}`);
  }

  check(submission: ISubmission, signal?: AbortSignal): Promise<ICheck> {
    return this._post<ICheck>('validate', submission, { signal });
  }

  /** Ask for an execution; the same key never makes a second one. */
  submit(submission: ISubmission, key: string): Promise<IExecution> {
    return this._post<IExecution>('executions', submission, {
      headers: { 'Idempotency-Key': key }
    });
  }

  executions(filter: Query): Promise<IPage<IExecution>> {
    return this._json<IPage<IExecution>>(`executions${query(filter)}`);
  }

  execution(id: string): Promise<IExecution> {
    return this._json<IExecution>(`executions/${encodeURIComponent(id)}`);
  }

  act(id: string, verb: TargetVerb): Promise<IExecution> {
    return this._post<IExecution>(`executions/${encodeURIComponent(id)}/${verb}`, {});
  }

  scale(id: string, counts: Record<string, number>): Promise<IExecution> {
    return this._post<IExecution>(`executions/${encodeURIComponent(id)}/scale`, { counts });
  }

  async forget(id: string): Promise<void> {
    await this._fetch(`executions/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  usage(id: string, cursor = ''): Promise<IPage<ISample>> {
    const search = query({ limit: 1000, cursor });
    return this._json<IPage<ISample>>(`executions/${encodeURIComponent(id)}/usage${search}`);
  }

  /** The log of one service as it grows; the caller reads the body and calls it off by `signal`. */
  logs(
    id: string,
    options: { service: string; tail?: number; follow?: boolean; signal?: AbortSignal }
  ): Promise<Response> {
    const { service, tail, follow, signal } = options;
    const search = query({ service, tail, follow: follow ? 'true' : undefined });
    return this._fetch(`executions/${encodeURIComponent(id)}/logs${search}`, { signal });
  }

  /** A short-lived address of a page that is not trusted; with `renew`, a longer life for an earlier one. */
  ticket(id: string, endpoint: string, renew = ''): Promise<ITicket> {
    const path = `executions/${encodeURIComponent(id)}/endpoints/${encodeURIComponent(endpoint)}/ticket`;
    return this._post<ITicket>(path, { renew });
  }

  /** Where an execution's own page is, as a browser opens it. */
  pageUrl(url: string): string {
    return URLExt.join(this.settings.baseUrl, url);
  }

  /** Address of the event stream; from after `since`, or from now on. */
  eventsUrl(since: number | null): string {
    const { wsUrl, token, appendToken } = this.settings;
    const search = query({
      since: since ?? undefined,
      token: appendToken && token ? token : undefined
    });
    return URLExt.join(wsUrl, 'zoe/api/events') + search;
  }

  private async _json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this._fetch(path, init);
    return (await response.json()) as T;
  }

  private _post<T>(path: string, body: unknown, init: RequestInit = {}): Promise<T> {
    return this._json<T>(path, { ...init, method: 'POST', body: JSON.stringify(body) });
  }

  private async _fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, 'zoe/api') + '/' + path;
    let response: Response;
    try {
      const ask = () => ServerConnection.makeRequest(url, init, this.settings);
      response = await again(ask, isRepeatable(init));
    } catch (error) {
      throw isAbort(error) ? error : new Unreachable(messageOf(error));
    }
    if (!response.ok) {
      throw await errorOf(response);
    }
    return response;
  }
}

/** All items of a list that comes in pages. */
export async function everything<T>(page: (cursor: string) => Promise<IPage<T>>): Promise<T[]> {
  const items: T[] = [];
  let cursor = '';
  do {
    const answer = await page(cursor);
    items.push(...answer.items);
    cursor = answer.next_cursor ?? '';
  } while (cursor);
  return items;
}

async function errorOf(response: Response): Promise<ZoeApiError> {
  const answer = await errorAnswer(response);
  const message = answer.message ?? `${response.status} ${response.statusText}`;
  // Zoe gives its 404 a reason; Jupyter's own for an unknown address has none.
  if (response.status === 404 && !answer.reason) {
    return new ServerPartMissing(404, message);
  }
  return new ZoeApiError(response.status, message, answer.reason, answer.details);
}

async function errorAnswer(response: Response): Promise<IErrorAnswer> {
  try {
    return ((await response.json()) ?? {}) as IErrorAnswer;
  } catch {
    return {};
  }
}

function query(values: Query): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== '') {
        search.append(key, String(one));
      }
    }
  }
  const text = search.toString();
  return text && `?${text}`;
}
