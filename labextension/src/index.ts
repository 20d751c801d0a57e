import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

/** Replaced by the panels; it proves that the bundle loads. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:plugin',
  description: 'Zoe: run Spark, Dask and other applications from JupyterLab.',
  autoStart: true,
  activate: () => undefined
};

export default [plugin];
