import { Clipboard } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { TargetVerb } from '../api/client';
import type { IExecution } from '../api/types';
import { isEnded, nameToAttach } from '../merge';
import { attachCell } from '../panels/connect/code';
import { tell } from '../panels/connect/tell';
import {
  EXECUTION_ARGS,
  addCommands,
  args,
  confirmed,
  executionOf,
  reporting,
  type ICommandContext
} from './context';
import { CommandIDs } from './ids';
import { askForCounts } from './scale';

interface IVerb {
  verb: TargetVerb;
  label: string;
  caption: string;
  failed: (name: string) => string;
  isFit: (execution: IExecution) => boolean;
  question?: (execution: IExecution) => { title: string; body: string; button: string } | null;
}

type Options = CommandRegistry.ICommandOptions;

/** Everything that changes what is wanted of an execution. */
export function addExecutionCommands(context: ICommandContext): void {
  addCommands(context, {
    [CommandIDs.stopExecution]: target(context, stop(context)),
    [CommandIDs.restartExecution]: target(context, restart(context)),
    [CommandIDs.suspendExecution]: target(context, suspend(context)),
    [CommandIDs.resumeExecution]: target(context, resume(context)),
    [CommandIDs.scaleExecution]: scale(context),
    [CommandIDs.forgetExecution]: forget(context),
    [CommandIDs.forgetEnded]: forgetEnded(context),
    [CommandIDs.copyAttachCode]: copyAttachCode(context)
  });
}

/** What may be done with it as it is now. */
export function canDo(execution: IExecution): Record<TargetVerb | 'scale' | 'forget', boolean> {
  const { state } = execution;
  const isLeaving = state === 'stopping' || state === 'ended';
  return {
    stop: !isLeaving,
    restart: state === 'running' || state === 'starting',
    suspend: !isLeaving && state !== 'suspended' && execution.target.goal !== 'suspend',
    resume: state === 'suspended' || execution.target.goal === 'suspend',
    scale: !isLeaving && execution.scalable.length > 0,
    forget: isEnded(execution)
  };
}

function target(context: ICommandContext, verb: IVerb): Options {
  const run = async (values: ReadonlyPartialJSONObject): Promise<void> => {
    const execution = await executionOf(context, values, verb.isFit);
    const question = execution && verb.question?.(execution);
    if (!execution || (question && !(await confirmed(context, question)))) {
      return;
    }
    const changed = await reporting(verb.failed(execution.name), () =>
      context.model.client.act(execution.id, verb.verb)
    );
    if (changed) {
      context.model.put(changed);
    }
  };
  return {
    label: verb.label,
    caption: verb.caption,
    describedBy: args(EXECUTION_ARGS),
    execute: run
  };
}

function stop({ settings, trans }: ICommandContext): IVerb {
  return {
    verb: 'stop',
    label: trans.__('Stop Execution…'),
    caption: trans.__('End an execution; what it holds in memory is lost'),
    failed: name => trans.__('Could not stop %1', name),
    isFit: execution => canDo(execution).stop,
    question: execution =>
      settings.confirmStop
        ? {
            title: trans.__('Stop %1?', execution.name),
            body: execution.leases
              ? trans.__('A notebook is attached to it. What it holds in memory is lost.')
              : trans.__('What it holds in memory is lost.'),
            button: trans.__('Stop')
          }
        : null
  };
}

function restart({ trans }: ICommandContext): IVerb {
  return {
    verb: 'restart',
    label: trans.__('Restart Execution…'),
    caption: trans.__('Stop all services of an execution and start them again'),
    failed: name => trans.__('Could not restart %1', name),
    isFit: execution => canDo(execution).restart,
    question: execution => ({
      title: trans.__('Restart %1?', execution.name),
      body: trans.__('All its services start anew. What it holds in memory is lost.'),
      button: trans.__('Restart')
    })
  };
}

function suspend({ trans }: ICommandContext): IVerb {
  return {
    verb: 'suspend',
    label: trans.__('Suspend Execution…'),
    caption: trans.__('Stop the services of an execution, and keep it for later'),
    failed: name => trans.__('Could not suspend %1', name),
    isFit: execution => canDo(execution).suspend,
    question: execution => ({
      title: trans.__('Suspend %1?', execution.name),
      body: trans.__(
        'Its services are stopped and what they hold in memory is lost. Resume starts them again.'
      ),
      button: trans.__('Suspend')
    })
  };
}

function resume({ trans }: ICommandContext): IVerb {
  return {
    verb: 'resume',
    label: trans.__('Resume Execution'),
    caption: trans.__('Start a suspended execution again'),
    failed: name => trans.__('Could not resume %1', name),
    isFit: execution => canDo(execution).resume
  };
}

function scale(context: ICommandContext): Options {
  const { model, trans } = context;
  return {
    label: trans.__('Scale Execution…'),
    caption: trans.__('Change how many services an execution has'),
    describedBy: args({
      ...EXECUTION_ARGS,
      process: { type: 'string', description: 'Full name of the process' },
      count: { type: 'integer', minimum: 0, description: 'Services of that process in all' }
    }),
    execute: async values => {
      const execution = await executionOf(context, values, one => canDo(one).scale);
      const counts = execution && (given(values) ?? (await askForCounts(execution, trans)));
      if (!counts) {
        return;
      }
      const changed = await reporting(trans.__('Could not scale %1', execution.name), () =>
        model.client.scale(execution.id, counts)
      );
      if (changed) {
        model.put(changed);
      }
    }
  };
}

function given(values: ReadonlyPartialJSONObject): Record<string, number> | null {
  const { process, count } = values;
  return typeof process === 'string' && typeof count === 'number' ? { [process]: count } : null;
}

function forget(context: ICommandContext): Options {
  const { trans } = context;
  return {
    label: trans.__('Forget Ended Execution…'),
    caption: trans.__('Remove an ended execution, with its logs and its story'),
    describedBy: args(EXECUTION_ARGS),
    execute: async values => {
      const execution = await executionOf(context, values, isEnded);
      const question = execution && {
        title: trans.__('Forget %1?', execution.name),
        body: trans.__('Its logs and its story are removed.'),
        button: trans.__('Forget')
      };
      if (question && (await confirmed(context, question))) {
        await forgetOne(context, execution);
      }
    }
  };
}

function forgetEnded(context: ICommandContext): Options {
  const { model, trans } = context;
  return {
    label: trans.__('Forget All Ended Executions…'),
    caption: trans.__('Remove the ended executions that are shown, with their logs'),
    execute: async () => {
      await model.activate();
      const ended = [...model.executions.values()].filter(isEnded);
      const question = {
        title: trans._n('Forget %1 ended execution?', 'Forget %1 ended executions?', ended.length),
        body: trans.__('Their logs and their stories are removed.'),
        button: trans.__('Forget')
      };
      if (ended.length && (await confirmed(context, question))) {
        for (const execution of ended) {
          await forgetOne(context, execution);
        }
      }
    }
  };
}

async function forgetOne({ model, trans }: ICommandContext, execution: IExecution): Promise<void> {
  const done = await reporting(trans.__('Could not forget %1', execution.name), async () => {
    await model.client.forget(execution.id);
    return true;
  });
  if (done) {
    model.remove(execution.id);
  }
}

function copyAttachCode(context: ICommandContext): Options {
  const { trans } = context;
  return {
    label: trans.__('Copy Attach Code of Execution…'),
    caption: trans.__('Copy the two lines that attach a notebook to an execution'),
    describedBy: args(EXECUTION_ARGS),
    execute: async values => {
      const execution = await executionOf(context, values, one => one.connections.length > 0);
      if (execution) {
        Clipboard.copyToSystem(attachCell(nameToAttach(execution)));
        tell(trans.__('Copied. Paste it into a cell.'));
      }
    }
  };
}
