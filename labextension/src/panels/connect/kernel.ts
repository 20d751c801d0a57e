import type { Kernel, KernelMessage } from '@jupyterlab/services';
import { PromiseDelegate } from '@lumino/coreutils';

import { plain } from '../detail/ansi';

/** The kernel ran the code, and the code failed. */
export class KernelError extends Error {
  constructor(
    readonly ename: string,
    readonly evalue: string
  ) {
    super(evalue || ename);
    this.name = 'KernelError';
  }
}

/** The kernel ended or was restarted before it had run the code. */
export class KernelGone extends Error {}

interface IRunOptions {
  /** The newest non-empty line of what the code prints or displays. */
  onProgress?: (line: string) => void;
}

/** Run code that no cell shows; raises KernelError with what the code raised, and KernelGone. */
export async function runInKernel(
  kernel: Kernel.IKernelConnection,
  code: string,
  options: IRunOptions = {}
): Promise<void> {
  const future = asked(kernel, {
    code,
    silent: false,
    store_history: false,
    stop_on_error: false,
    allow_stdin: false
  });
  future.onIOPub = message => {
    const line = lastLine(textOf(message));
    if (line) {
      options.onProgress?.(line);
    }
  };
  const { content } = await future.done.catch((): never => {
    throw new KernelGone();
  });
  if (content.status === 'error') {
    throw new KernelError(content.ename, content.evalue);
  }
  if (content.status !== 'ok') {
    throw new KernelError('Aborted', 'the kernel did not run it');
  }
}

/** What the kernel says of itself; raises KernelGone where it goes away before it does. */
export async function infoOf(kernel: Kernel.IKernelConnection): Promise<KernelMessage.IInfoReply> {
  const gone = new PromiseDelegate<never>();
  const give = (): void => gone.reject(new KernelGone());
  const look = (): void => (kernel.isDisposed || kernel.status === 'dead' ? give() : undefined);
  kernel.disposed.connect(give);
  kernel.statusChanged.connect(look);
  look();
  try {
    return await Promise.race([kernel.info, gone.promise]);
  } finally {
    kernel.disposed.disconnect(give);
    kernel.statusChanged.disconnect(look);
  }
}

function asked(
  kernel: Kernel.IKernelConnection,
  content: KernelMessage.IExecuteRequestMsg['content']
): ReturnType<Kernel.IKernelConnection['requestExecute']> {
  try {
    return kernel.requestExecute(content);
  } catch {
    // What JupyterLab raises of a kernel that is known to be dead.
    throw new KernelGone();
  }
}

/** Values of Python expressions, as their `repr`; null when the kernel is too busy to answer, or gone. */
export async function evaluate(
  kernel: Kernel.IKernelConnection,
  expressions: Record<string, string>,
  timeoutMs = 3000
): Promise<Record<string, string> | null> {
  if (kernel.isDisposed || kernel.status === 'dead') {
    return null;
  }
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    user_expressions: expressions
  });
  const timeout = new Promise<null>(resolve => window.setTimeout(() => resolve(null), timeoutMs));
  const reply = await Promise.race([future.done.catch(() => null), timeout]);
  if (!reply) {
    future.dispose();
    return null;
  }
  return reply.content.status === 'ok' ? reprs(reply.content) : {};
}

/** The newest step of a progress that Zoe shows in a cell; null of any other message. */
export function stepOf(message: KernelMessage.IIOPubMessage): string | null {
  const { data } = message.content as { data?: Record<string, unknown> };
  const html = data?.['text/html'];
  return typeof html === 'string' && html.includes('zoe-progress')
    ? lastLine(textOf(message))
    : null;
}

/** Whether what a message belongs to is done. */
export function isIdle({ content, header }: KernelMessage.IIOPubMessage): boolean {
  const { execution_state: state } = content as { execution_state?: unknown };
  return header.msg_type === 'status' && state === 'idle';
}

/** What Python's `repr` of a plain string says. */
export function unquoted(repr: string | undefined): string {
  const inner = /^(['"])(.*)\1$/s.exec(repr ?? '')?.[2] ?? '';
  return inner.replace(/\\(.)/g, '$1');
}

function reprs(content: KernelMessage.IExecuteReplyMsg['content']): Record<string, string> {
  const found: Record<string, string> = {};
  const answers = 'user_expressions' in content ? content.user_expressions : {};
  for (const [name, answer] of Object.entries(answers)) {
    const { data } = answer as unknown as { data?: Record<string, unknown> };
    const text = data?.['text/plain'];
    found[name] = typeof text === 'string' ? text : '';
  }
  return found;
}

function textOf(message: KernelMessage.IIOPubMessage): string {
  const content = message.content as {
    text?: unknown;
    data?: Record<string, unknown>;
  };
  const text = content.text ?? content.data?.['text/plain'];
  return typeof text === 'string' ? text : '';
}

function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map(line => plain(line).trim());
  return lines.filter(Boolean).pop() ?? '';
}
