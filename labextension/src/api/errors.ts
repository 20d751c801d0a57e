import type { IProblem } from './types';

/** What the server answered when it did not do what was asked. */
export class ZoeApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly reason = '',
    readonly details: Record<string, unknown> = {}
  ) {
    super(message);
    this.name = 'ZoeApiError';
  }

  /** Everything that is wrong with what was sent; empty when it was not about that. */
  get problems(): IProblem[] {
    const found = this.details.problems;
    return Array.isArray(found) ? found.map(asProblem) : [];
  }
}

/** Nobody answers under Zoe's address: the server part is not installed or not enabled. */
export class ServerPartMissing extends ZoeApiError {}

/** The server could not be reached at all. */
export class Unreachable extends Error {}

function asProblem(value: unknown): IProblem {
  const { message, path } = (value ?? {}) as Partial<IProblem>;
  return { message: message ?? String(value), path: path ?? '' };
}

/** What to show people of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether it is a request that was called off. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
