import { LabIcon } from '@jupyterlab/ui-components';

const icon = (name: string, body: string): LabIcon =>
  new LabIcon({
    name: `zoe:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16">${body}</svg>`
  });

const line = (path: string): string => `<path class="jp-icon3" fill="#616161" d="${path}"/>`;

const stroke = (path: string): string => `<path class="zoe-stroke" fill="none" d="${path}"/>`;

/** Three nodes on a Z. */
export const zoeIcon = icon(
  'logo',
  line('M3 2h9.2l1 1.6L6 12.2h7V14H3.6l-1-1.6L9.8 3.8H3z') +
    line(
      'M3 1a1.9 1.9 0 1 1 0 3.8A1.9 1.9 0 0 1 3 1zm10 10.2a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8z'
    )
);

export const queuedIcon = icon(
  'queued',
  stroke('M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9zM8 4.6V8l2.4 1.6')
);
export const startingIcon = icon('starting', stroke('M14.1 8A6.1 6.1 0 1 1 8 1.9'));
export const runningIcon = icon(
  'running',
  line('M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM6.4 4.9v6.2L11.4 8z')
);
export const suspendedIcon = icon(
  'suspended',
  line('M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM5.4 5v6h1.8V5zm3.4 0v6h1.8V5z')
);
export const succeededIcon = icon(
  'succeeded',
  line('M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zm3.3 3.9L7 9.4 4.8 7.2 3.6 8.4 7 11.8l5.5-5.7z')
);
export const failedIcon = icon(
  'failed',
  line('M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM7.1 4v5h1.8V4zm0 6.2V12h1.8v-1.8z')
);
export const stoppedIcon = icon(
  'stopped',
  line('M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM5.2 5.2v5.6h5.6V5.2z')
);
export const lostIcon = icon(
  'lost',
  stroke(
    'M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9zM6.2 6.3C6.3 5.2 7 4.6 8 4.6s1.8.6 1.8 1.6c0 1.3-1.8 1.4-1.8 2.7M8 10.5v1.2'
  )
);
export const connectIcon = icon(
  'connect',
  stroke(
    'M5.3 7.4 3.2 9.5a2.4 2.4 0 0 0 3.3 3.3l2.1-2.1M10.7 8.6l2.1-2.1a2.4 2.4 0 0 0-3.3-3.3L7.4 5.3M6.3 9.7l3.4-3.4'
  )
);
export const scaleIcon = icon('scale', line('M2 10h3v4H2zm4.5-4h3v8h-3zM11 2h3v12h-3z'));
export const minusIcon = icon('minus', line('M3 7h10v2H3z'));
/** A page that opens beside the others. */
export const tabIcon = icon('tab', stroke('M2.5 3.5h11v9.5h-11zM2.5 6.5h11M7 3.5v3'));
export const externalIcon = icon(
  'external',
  stroke('M6.5 3H3v10h10V9.5M9.5 2.7h3.8v3.8M13 3 7.3 8.7')
);
