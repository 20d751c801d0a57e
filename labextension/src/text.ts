import type { TranslationBundle } from '@jupyterlab/translation';

import type { IAmount, IExecution, INode } from './api/types';
import { isEnded } from './merge';

const STEPS: [string, number][] = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10]
];

/** A number of bytes as people read it: `2.1 GiB`. */
export function formatBytes(count: number): string {
  for (const [unit, factor] of STEPS) {
    if (count >= factor) {
      return `${significant(count / factor)} ${unit}`;
    }
  }
  return `${Math.round(count)} B`;
}

/** A number of CPU cores: `0.25`, `1.5`, `12`. */
export function formatCores(cores: number): string {
  return String(Number(cores.toFixed(cores < 10 ? 2 : 1)));
}

/** Seconds as people read them: `40 s`, `10 min`, `1 h 30 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) {
    return minutes < 10 && whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 48) {
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }
  return `${Math.floor(hours / 24)} d`;
}

/** A moment in epoch seconds as people here read it; the day only when it is another one. */
export function formatMoment(at: number): string {
  const moment = new Date(at * 1000);
  const isToday = moment.toDateString() === new Date().toDateString();
  return isToday
    ? moment.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : moment.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

/** An amount of CPU, memory and GPUs: `1.5 cores, 2 GiB`. */
export function formatAmount(amount: IAmount, trans: TranslationBundle): string {
  const parts = [
    trans._n('%2 core', '%2 cores', amount.cores === 1 ? 1 : 2, formatCores(amount.cores)),
    formatBytes(amount.memory_bytes)
  ];
  if (amount.gpus) {
    parts.push(trans._n('%1 GPU', '%1 GPUs', amount.gpus));
  }
  return parts.join(', ');
}

/** What is given away of a machine: `1 of 4 cores, 2 GiB of 8 GiB`. */
export function formatRoom(node: INode, trans: TranslationBundle): string {
  const { capacity, reserved } = node;
  const parts = [
    trans.__('%1 of %2 cores', formatCores(reserved.cores), formatCores(capacity.cores)),
    trans.__('%1 of %2', formatBytes(reserved.memory_bytes), formatBytes(capacity.memory_bytes))
  ];
  if (capacity.gpus) {
    parts.push(trans.__('%1 of %2 GPUs', reserved.gpus, capacity.gpus));
  }
  return parts.join(', ');
}

/** What people should know of a machine; empty where that is nothing. */
export function aboutNode(node: INode, trans: TranslationBundle): string {
  const { about, capacity, cores } = node;
  const shares =
    cores && capacity.cores > cores
      ? trans.__(
          'cores are shares: it has %1, each is given away %2 times',
          formatCores(cores),
          formatCores(capacity.cores / cores)
        )
      : '';
  return [availability(node, trans), shares, about].filter(Boolean).join('; ');
}

function availability({ drains_at: at, is_enabled }: INode, trans: TranslationBundle): string {
  if (at !== null) {
    return is_enabled
      ? trans.__('will be emptied at %1', formatMoment(at))
      : trans.__('to be empty since %1', formatMoment(at));
  }
  return is_enabled ? '' : trans.__('disabled');
}

/** For how long it has been running or waiting; for an ended one, how long it ran. */
export function elapsedS(execution: IExecution, now: number): number {
  const from = execution.started_at ?? execution.created_at;
  return (execution.ended_at ?? now) - from;
}

/** The same in words: `running for 12 s`. */
export function lasting(execution: IExecution, now: number, trans: TranslationBundle): string {
  const time = formatDuration(elapsedS(execution, now));
  if (isEnded(execution)) {
    return execution.started_at ? trans.__('ran for %1', time) : trans.__('waited for %1', time);
  }
  if (!execution.started_at) {
    return trans.__('asked for %1 ago', time);
  }
  return execution.state === 'running'
    ? trans.__('running for %1', time)
    : trans.__('started %1 ago', time);
}

/** How long it stays by itself, in words. */
export function staying(
  lifetime: Omit<IExecution['lifetime'], 'ends_at'>,
  trans: TranslationBundle
): string {
  const { after_s, idle_s, together_with, grace_s } = lifetime;
  const parts: string[] = [];
  if (after_s !== null) {
    parts.push(trans.__('at most %1', formatDuration(after_s)));
  }
  if (idle_s !== null) {
    parts.push(trans.__('until idle for %1', formatDuration(idle_s)));
  }
  if (together_with === 'kernel') {
    parts.push(trans.__('until its last notebook has been gone for %1', formatDuration(grace_s)));
  }
  if (together_with === 'server') {
    parts.push(trans.__('until its Jupyter server has been gone for %1', formatDuration(grace_s)));
  }
  return parts.join(', ') || trans.__('until it is stopped or its program ends');
}

/** How long ago in words that need no clock: `just now`, `5 min ago`. */
export function ago(seconds: number, trans: TranslationBundle): string {
  return seconds < 5 ? trans.__('just now') : trans.__('%1 ago', formatDuration(seconds));
}

/** The state in one word; an ended one is its outcome. */
export function stateWord(execution: IExecution, trans: TranslationBundle): string {
  const words: Record<string, string> = {
    submitted: trans.__('submitted'),
    queued: trans.__('queued'),
    starting: trans.__('starting'),
    running: trans.__('running'),
    suspended: trans.__('suspended'),
    stopping: trans.__('stopping'),
    ended: trans.__('ended'),
    succeeded: trans.__('succeeded'),
    failed: trans.__('failed'),
    stopped: trans.__('stopped'),
    expired: trans.__('expired'),
    lost: trans.__('lost')
  };
  return words[look(execution)];
}

/** What each is called in a list to choose from; with its id where name and state say it of several. */
export function labelled(
  executions: Iterable<IExecution>,
  trans: TranslationBundle
): Map<string, IExecution> {
  const labels = new Map<string, IExecution>();
  for (const one of executions) {
    const word = stateWord(one, trans);
    const label = trans.__('%1 (%2)', one.name, word);
    labels.set(labels.has(label) ? trans.__('%1 (%2, %3)', one.name, word, one.id) : label, one);
  }
  return labels;
}

/** State, or outcome once it has ended: what icon and colour follow. */
export function look(execution: IExecution): string {
  return execution.state === 'ended' ? (execution.outcome ?? 'ended') : execution.state;
}

/** As much of its digest as tells it from others. */
export function shortImage(image: string): string {
  return image.replace(/(sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1');
}

/** Notifications take 140 characters. */
export function shortened(text: string): string {
  return text.length > 140 ? `${text.slice(0, 139)}…` : text;
}

function significant(value: number): string {
  return String(value < 1000 ? Number(value.toPrecision(3)) : Math.round(value));
}
