import type { IExecution } from './api/types';

/** Whether it will never run again. */
export function isEnded(execution: IExecution): boolean {
  return execution.state === 'ended';
}

export function isQueued(execution: IExecution): boolean {
  return execution.state === 'queued';
}

/** Whether it runs or is about to, so that whoever attaches to it starts nothing. */
export function isUp(execution: IExecution): boolean {
  return !['suspended', 'stopping', 'ended'].includes(execution.state);
}

/** Its services, each with its attempt. */
function partsOf({ services }: IExecution): string[] {
  return services.map(({ attempt, name }) => `${name}#${attempt}`);
}

/**
 * Whether all that it consisted of is gone, and it is to run again; one in which a service was
 * replaced is the same.
 */
function isBegunAnew(execution: IExecution, parts: ReadonlySet<string>): boolean {
  const { state, target } = execution;
  if (state === 'stopping') {
    return target.goal !== 'stop';
  }
  const now = partsOf(execution);
  const isOther = parts.size > 0 && now.length > 0 && !now.some(part => parts.has(part));
  return ['queued', 'suspended'].includes(state) || (state !== 'ended' && isOther);
}

/** Of executions: what each consisted of when a kernel was attached to it. */
export class Parts {
  note(execution: IExecution): void {
    if (execution.state === 'running' && !this._parts.has(execution.id)) {
      this._parts.set(execution.id, new Set(partsOf(execution)));
    }
  }

  forget(id: string): void {
    this._parts.delete(id);
  }

  /** Whether it is another one now than the kernel was attached to. */
  isOther(execution: IExecution): boolean {
    const parts = this._parts.get(execution.id);
    return parts !== undefined && isBegunAnew(execution, parts);
  }

  private readonly _parts = new Map<string, ReadonlySet<string>>();
}

/** Whether it went away although nobody asked for that. */
export function endedBadly(execution: IExecution): boolean {
  return isEnded(execution) && ['failed', 'lost', 'expired'].includes(execution.outcome ?? '');
}

/** What `%zoe attach` must be told: a name that is also an entry's would start another one. */
export function nameToAttach({ id, name, entry }: IExecution): string {
  return name === entry ? id : name;
}

/** Newer over older: answers about lists have no story, so the known one stays. */
export function merged(older: IExecution | undefined, newer: IExecution): IExecution {
  const keepsStory = older && !newer.story.length && older.story.length;
  return keepsStory ? { ...newer, story: older.story } : newer;
}

/** Newest first; the id settles what was created in one moment. */
export function byAge(a: IExecution, b: IExecution): number {
  return b.created_at - a.created_at || b.id.localeCompare(a.id);
}

/** What a whole new list of live executions makes of the known ones. */
export function replaceLive(
  known: ReadonlyMap<string, IExecution>,
  live: readonly IExecution[]
): { executions: Map<string, IExecution>; gone: string[] } {
  const executions = new Map<string, IExecution>();
  const gone: string[] = [];
  for (const [id, execution] of known) {
    if (isEnded(execution)) {
      executions.set(id, execution);
    } else {
      gone.push(id);
    }
  }
  for (const execution of live) {
    executions.set(execution.id, merged(known.get(execution.id), execution));
  }
  return { executions, gone: gone.filter(id => !executions.has(id)) };
}

type Later = (run: () => void, delayMs: number) => void;

/**
 * Fetch what was marked, each once however often it was marked, and again when it was marked
 * while it was being fetched.
 */
export class Refetcher {
  constructor(
    private readonly _fetch: (id: string) => Promise<void>,
    private readonly _later: Later,
    private readonly _delayMs = 120
  ) {}

  mark(id: string): void {
    this._marked.add(id);
    if (!this._isDue) {
      this._isDue = true;
      this._later(() => this._flush(), this._delayMs);
    }
  }

  private _flush(): void {
    this._isDue = false;
    const due = [...this._marked].filter(id => !this._busy.has(id));
    for (const id of due) {
      this._marked.delete(id);
      this._busy.add(id);
      void this._fetch(id).finally(() => this._done(id));
    }
  }

  private _done(id: string): void {
    this._busy.delete(id);
    if (this._marked.has(id)) {
      this.mark(id);
    }
  }

  private _isDue = false;
  private readonly _busy = new Set<string>();
  private readonly _marked = new Set<string>();
}
