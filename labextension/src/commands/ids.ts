/** Every command of Zoe. */
export const CommandIDs = {
  openPanel: 'zoe:open-panel',
  openShop: 'zoe:open-shop',
  refresh: 'zoe:refresh',
  startApplication: 'zoe:start-application',
  openExecution: 'zoe:open-execution',
  openEndpoint: 'zoe:open-endpoint',
  showLogs: 'zoe:show-logs',
  stopExecution: 'zoe:stop-execution',
  restartExecution: 'zoe:restart-execution',
  suspendExecution: 'zoe:suspend-execution',
  resumeExecution: 'zoe:resume-execution',
  scaleExecution: 'zoe:scale-execution',
  forgetExecution: 'zoe:forget-execution',
  forgetEnded: 'zoe:forget-ended',
  copyAttachCode: 'zoe:copy-attach-code',
  attachNotebook: 'zoe:attach-notebook',
  detachNotebook: 'zoe:detach-notebook',
  openFirstNotebook: 'zoe:open-first-notebook'
} as const;
