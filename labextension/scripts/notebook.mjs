// The first notebook travels inside the bundle, so that its launcher card works wherever Lab runs.
import { copyFileSync, mkdirSync } from 'node:fs';

const here = new URL('.', import.meta.url);
const target = new URL('../lib/generated/first-notebook.json', here);
mkdirSync(new URL('.', target), { recursive: true });
copyFileSync(new URL('../../docs/users/first-notebook.ipynb', here), target);
