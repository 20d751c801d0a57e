import type { IEntry } from '../../api/types';

/** Entries that carry every word of the text in name, title, summary or tags; best names first. */
export function found(entries: readonly IEntry[], text: string): IEntry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = entries.filter(entry => words.every(word => haystack(entry).includes(word)));
  return hits.sort((a, b) => rank(a, words) - rank(b, words) || a.title.localeCompare(b.title));
}

function haystack({ name, title, summary, tags }: IEntry): string {
  return [name, title, summary, ...tags].join('\n').toLowerCase();
}

/** What runs as it is before what does not, users' things before admins', then by name. */
function rank(entry: IEntry, words: string[]): number {
  const isNamed = words.some(word => `${entry.name} ${entry.title}`.toLowerCase().includes(word));
  return (
    (entry.is_runnable ? 0 : 4) +
    (entry.audience === 'user' ? 0 : 2) +
    (isNamed || !words.length ? 0 : 1)
  );
}
