/** Every command of Zoe, in the order of the palette: first what begins, then what is done with an execution, what ends it last. */
export const CommandIDs = {
  openPanel: 'zoe:open-panel',
  openShop: 'zoe:open-shop',
  openFirstNotebook: 'zoe:open-first-notebook',
  startApplication: 'zoe:start-application',
  attachNotebook: 'zoe:attach-notebook',
  detachNotebook: 'zoe:detach-notebook',
  copyAttachCode: 'zoe:copy-attach-code',
  openExecution: 'zoe:open-execution',
  showLogs: 'zoe:show-logs',
  openEndpoint: 'zoe:open-endpoint',
  scaleExecution: 'zoe:scale-execution',
  suspendExecution: 'zoe:suspend-execution',
  resumeExecution: 'zoe:resume-execution',
  restartExecution: 'zoe:restart-execution',
  stopExecution: 'zoe:stop-execution',
  forgetExecution: 'zoe:forget-execution',
  forgetEnded: 'zoe:forget-ended',
  refresh: 'zoe:refresh'
} as const;

const ORDER: readonly string[] = Object.values(CommandIDs);

/** Its place in the palette. */
export function rankOf(command: string): number {
  return ORDER.indexOf(command);
}
