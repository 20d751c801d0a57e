/** A piece of a line in one look: text only, whatever the program wrote. */
export interface ISpan {
  text: string;
  /** Class names; empty for plain text. */
  look: string;
}

interface IStyle {
  foreground: string;
  background: string;
  marks: ReadonlySet<string>;
}

export const PLAIN: IStyle = { foreground: '', background: '', marks: new Set() };

const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
const MARKS: Record<number, string> = {
  1: 'bold',
  2: 'faint',
  3: 'italic',
  4: 'underline',
  7: 'inverse'
};

// What a terminal obeys: CSI sequences (of which only SGR, ending with m, is about looks), OSC, DCS and the like, and lone escapes.
/* eslint-disable no-control-regex */
const ESCAPE =
  /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const LOOKS = /^[0-9;:]*$/;
/* eslint-enable no-control-regex */

/** Cut a line into pieces, going on in the style in which the line before ended. */
export function spansOf(line: string, style: IStyle): { spans: ISpan[]; style: IStyle } {
  const spans: ISpan[] = [];
  let current = style;
  let from = 0;
  for (const match of line.matchAll(ESCAPE)) {
    push(spans, line.slice(from, match.index), current);
    from = match.index + match[0].length;
    if (match[2] === 'm' && LOOKS.test(match[1])) {
      current = styled(current, match[1]);
    }
  }
  push(spans, line.slice(from), current);
  return { spans, style: current };
}

/** A line without its looks, and without what only a terminal obeys. */
export function plain(line: string): string {
  return spansOf(line, PLAIN)
    .spans.map(({ text }) => text)
    .join('');
}

/** What is left of a line that was written over itself, as progress bars do. */
export function overwritten(line: string): string {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  return text.slice(text.lastIndexOf('\r') + 1);
}

function push(spans: ISpan[], raw: string, style: IStyle): void {
  const text = raw.replace(CONTROL, '');
  if (text) {
    spans.push({ text, look: lookOf(style) });
  }
}

function lookOf({ foreground, background, marks }: IStyle): string {
  const names = [...marks].map(mark => `zoe-ansi-${mark}`);
  if (foreground) {
    names.push(`zoe-ansi-fg-${foreground}`);
  }
  if (background) {
    names.push(`zoe-ansi-bg-${background}`);
  }
  return names.join(' ');
}

function styled(style: IStyle, parameters: string): IStyle {
  const codes = parameters.split(/[;:]/).map(Number);
  let current = style;
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index];
    if (code === 38 || code === 48) {
      const { colour, taken } = extended(codes.slice(index + 1));
      current =
        code === 38 ? { ...current, foreground: colour } : { ...current, background: colour };
      index += taken;
    } else {
      current = changed(current, code);
    }
  }
  return current;
}

function changed(style: IStyle, code: number): IStyle {
  if (code === 0) {
    return PLAIN;
  }
  if (code in MARKS) {
    return { ...style, marks: new Set([...style.marks, MARKS[code]]) };
  }
  if (code >= 22 && code <= 27) {
    return { ...style, marks: without(style.marks, code) };
  }
  const colour = COLOURS[code % 10] ?? '';
  const isBright = code >= 90;
  const name = colour && (isBright ? `bright-${colour}` : colour);
  if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97) || code === 39) {
    return { ...style, foreground: code === 39 ? '' : name };
  }
  if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107) || code === 49) {
    return { ...style, background: code === 49 ? '' : name };
  }
  return style;
}

function without(marks: ReadonlySet<string>, code: number): Set<string> {
  const removed = code === 22 ? ['bold', 'faint'] : [MARKS[code - 20] ?? ''];
  return new Set([...marks].filter(mark => !removed.includes(mark)));
}

/** 256 colours come down to the 16 that themes have; true colour to none. */
function extended([kind, colour]: number[]): { colour: string; taken: number } {
  if (kind === 5) {
    const name = COLOURS[colour % 8];
    const known = colour < 8 ? name : colour < 16 ? `bright-${name}` : '';
    return { colour: known, taken: 2 };
  }
  return { colour: '', taken: kind === 2 ? 4 : 0 };
}
