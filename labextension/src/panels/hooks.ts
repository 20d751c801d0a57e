import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer, useRef, useState, type RefObject } from 'react';

/** Draw again whenever one of the signals is emitted. */
export function useSignals(...signals: readonly ISignal<unknown, unknown>[]): void {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const slot = (): void => draw();
    signals.forEach(signal => signal.connect(slot));
    return () => signals.forEach(signal => signal.disconnect(slot));
    // The signals of one call site are always the same number of objects.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, signals);
}

/** Epoch seconds, going on each second while the element can be seen. */
export function useNow(element: RefObject<HTMLElement>, isTicking: boolean): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (!isTicking) {
      return;
    }
    const timer = window.setInterval(() => {
      if (!document.hidden && element.current?.offsetParent) {
        setNow(Date.now() / 1000);
      }
    }, 1000);
    return () => window.clearInterval(timer);
  }, [element, isTicking]);
  return now;
}

/** A value that changes only after it has been left alone for a while. */
export function useDebounced<T>(value: T, delayMs: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), delayMs);
    return () => window.clearTimeout(timer);
  }, [value, delayMs]);
  return settled;
}

/** The width of an element as it is laid out; 0 while it is hidden. */
export function useWidth(): [RefObject<HTMLDivElement>, number] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(entries => setWidth(entries[0].contentRect.width));
    if (element.current) {
      observer.observe(element.current);
    }
    return () => observer.disconnect();
  }, []);
  return [element, width];
}
