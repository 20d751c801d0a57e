/**
 * Ask once more, at once, where the network failed and asking twice does no harm: Chromium breaks off what is
 * on its way whenever a network of the machine comes or goes, such as a container's.
 */
export async function again<T>(ask: () => Promise<T>, mayRepeat: boolean): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (mayRepeat && error instanceof TypeError) {
      return ask();
    }
    throw error;
  }
}

/** Whether a request changes nothing, or the same however often it comes. */
export function isRepeatable({ method = 'GET', headers }: RequestInit): boolean {
  return method === 'GET' || new Headers(headers).has('Idempotency-Key');
}
