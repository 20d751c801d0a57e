import type { ILogLine, LogBuffer } from './logbuffer';

/** The lines of a log as elements: appended in batches, and as many as the buffer keeps. */
export class LogLines {
  constructor(
    private readonly _host: HTMLElement,
    private readonly _buffer: LogBuffer
  ) {
    _host.replaceChildren();
  }

  /** Bring the elements up to date, and go to the end. */
  draw(): void {
    const { lines } = this._buffer;
    const first = lines.length ? lines[0].number : Infinity;
    if (!lines.length || first > this._last || lines[lines.length - 1].number < this._last) {
      this._host.replaceChildren();
      this._elements.clear();
      this._last = 0;
    }
    this._drop(first);
    const fresh = lines.filter(line => line.number > this._last);
    this._host.append(...fresh.map(line => this._element(line)));
    this._last = lines.length ? lines[lines.length - 1].number : 0;
    this._host.scrollTop = this._host.scrollHeight;
  }

  /** Mark the lines that hold the text; gives how many. Looked for again, the hit that one is at stays. */
  find(text: string): number {
    const current = text === this._text ? this._hits[this._hit] : undefined;
    this._text = text;
    this._hits = [];
    const wanted = text.toLowerCase();
    for (const line of this._buffer.lines) {
      const element = this._elements.get(line.number);
      const isHit = wanted !== '' && line.text.toLowerCase().includes(wanted);
      element?.classList.toggle('zoe-mod-hit', isHit);
      element?.classList.toggle('zoe-mod-current', element === current);
      if (element && isHit) {
        this._hits.push(element);
      }
    }
    this._hit = current ? this._hits.indexOf(current) : -1;
    return this._hits.length;
  }

  /** Go to the next or previous hit, round and round; gives its place, from 1. */
  go(step: 1 | -1): number {
    if (!this._hits.length) {
      return 0;
    }
    const count = this._hits.length;
    if (this._hit >= 0) {
      this._hits[this._hit].classList.remove('zoe-mod-current');
      this._hit = (this._hit + step + count) % count;
    } else {
      this._hit = step > 0 ? 0 : count - 1;
    }
    this._hits[this._hit].classList.add('zoe-mod-current');
    this._hits[this._hit].scrollIntoView({ block: 'center' });
    return this._hit + 1;
  }

  private _element(line: ILogLine): HTMLElement {
    const element = document.createElement('div');
    element.className = 'zoe-Log-line';
    for (const { text, look } of line.spans) {
      const span = document.createElement('span');
      span.className = look;
      span.textContent = text;
      element.append(span);
    }
    this._elements.set(line.number, element);
    return element;
  }

  private _drop(first: number): void {
    for (const [number, element] of this._elements) {
      if (number >= first) {
        return;
      }
      element.remove();
      this._elements.delete(number);
    }
  }

  private readonly _elements = new Map<number, HTMLElement>();
  private _hit = -1;
  private _hits: HTMLElement[] = [];
  private _last = 0;
  private _text = '';
}
