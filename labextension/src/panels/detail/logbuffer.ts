import { PLAIN, overwritten, spansOf, type ISpan } from './ansi';

export interface ILogLine {
  /** Counts all lines, also those that are not kept any more. */
  number: number;
  spans: ISpan[];
  text: string;
}

/** The last lines of a log that comes in pieces. */
export class LogBuffer {
  constructor(private _limit: number) {}

  get lines(): readonly ILogLine[] {
    return this._lines;
  }

  /** How many lines fell out at the beginning. */
  get dropped(): number {
    return this._count - this._lines.length;
  }

  /** Take a piece; gives the lines that are whole with it. */
  push(piece: string): ILogLine[] {
    const parts = (this._rest + piece).split('\n');
    this._rest = parts.pop() ?? '';
    return this._add(parts);
  }

  /** No more will come: what is left is a line too. */
  finish(): ILogLine[] {
    const rest = this._rest;
    this._rest = '';
    return rest ? this._add([rest]) : [];
  }

  clear(): void {
    this._lines = [];
    this._count = 0;
    this._rest = '';
    this._style = PLAIN;
  }

  private _add(texts: string[]): ILogLine[] {
    const added = texts.map(text => this._line(overwritten(text)));
    this._lines.push(...added);
    if (this._lines.length > this._limit) {
      this._lines = this._lines.slice(-this._limit);
    }
    return added;
  }

  private _line(raw: string): ILogLine {
    const { spans, style } = spansOf(raw, this._style);
    this._style = style;
    this._count += 1;
    return { number: this._count, spans, text: spans.map(span => span.text).join('') };
  }

  private _count = 0;
  private _lines: ILogLine[] = [];
  private _rest = '';
  private _style = PLAIN;
}
