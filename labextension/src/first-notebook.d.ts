declare module '*/first-notebook.json' {
  import type { PartialJSONObject } from '@lumino/coreutils';
  const content: PartialJSONObject;
  export default content;
}
