import type { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import type { MainAreaWidget } from '@jupyterlab/apputils';

/** Show a widget in a tab; beside the one document of Notebook 7, which has no tabs. */
export function showInMain(
  app: JupyterFrontEnd,
  labShell: ILabShell | null,
  widget: MainAreaWidget
): void {
  if (!widget.isAttached) {
    app.shell.add(widget, labShell ? 'main' : 'right', { type: 'Zoe' });
  }
  app.shell.activateById(widget.id);
}
