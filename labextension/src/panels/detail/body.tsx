import type { TranslationBundle } from '@jupyterlab/translation';
import { copyIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { Signal } from '@lumino/signaling';
import React, { useEffect, useRef, useState, type ReactNode } from 'react';

import { messageOf } from '../../api/errors';
import type { IExecution } from '../../api/types';
import { canDo } from '../../commands/executions';
import { CommandIDs } from '../../commands/ids';
import { externalIcon } from '../../icons';
import { isEnded, nameToAttach } from '../../merge';
import type { IZoeConnector, IZoeModel, IZoeSettings } from '../../tokens';
import { AttachButton } from '../attach';
import { attachCell, given } from '../connect/code';
import { useSignals } from '../hooks';
import { Button, Elapsed, Notice, Said, StateMark } from '../parts';
import { PhaseNotice } from '../phase';
import { Holders, LifetimeText, Parameters, Services, Story, Telling, TurnText } from './facts';
import { Logs } from './logview';
import { ScaleControl } from './scale';
import { Usage } from './usage';

/** The service whose log somebody wants to see; none once it is shown. */
export interface ILogsWish {
  service: string;
  changed: Signal<object, void>;
}

export interface IDetailProps {
  id: string;
  commands: CommandRegistry;
  connector: IZoeConnector | null;
  model: IZoeModel;
  settings: IZoeSettings;
  trans: TranslationBundle;
  wish: ILogsWish;
}

interface IPartProps extends IDetailProps {
  execution: IExecution;
}

/** Everything about one execution. */
export function Detail(props: IDetailProps): React.JSX.Element {
  const { id, model, trans } = props;
  useSignals(model.changed);
  const problem = useStory(props);
  const execution = model.executions.get(id);
  const wasHere = useRef(false);
  wasHere.current ||= execution !== undefined;
  return (
    <div className="zoe-Detail">
      <PhaseNotice model={model} trans={trans} />
      {execution ? (
        <Whole {...props} execution={execution} />
      ) : (
        <Absent {...props} problem={problem} wasHere={wasHere.current} />
      )}
    </div>
  );
}

function Absent(
  props: IDetailProps & { problem: string; wasHere: boolean }
): React.JSX.Element | null {
  const { model, problem, trans, wasHere } = props;
  if (model.phase !== 'ready') {
    return null;
  }
  if (problem || wasHere) {
    return <Notice kind="info" title={problem || trans.__('This execution was forgotten.')} />;
  }
  return <Notice kind="busy" title={trans.__('Loading…')} />;
}

/** Lists have no stories: get this one's. */
function useStory({ id, model, trans }: IDetailProps): string {
  const [problem, setProblem] = useState('');
  const isReady = model.phase === 'ready';
  useEffect(() => {
    if (isReady) {
      model.fetch(id).then(
        () => setProblem(''),
        (error: unknown) =>
          setProblem(trans.__('This execution is not there any more: %1', messageOf(error)))
      );
    }
  }, [id, isReady, model, trans]);
  return problem;
}

function Whole(props: IPartProps): React.JSX.Element {
  const { execution, model, settings, trans, wish } = props;
  const logs = useRef<HTMLElement>(null);
  const [picked, setPicked] = useState('');
  const show = (service: string): void => {
    setPicked(service);
    logs.current?.scrollIntoView({ block: 'start' });
  };
  useSignals(wish.changed);
  useEffect(() => {
    if (wish.service) {
      show(wish.service);
      wish.service = '';
    }
  });
  return (
    <>
      <Head {...props} />
      <Telling execution={execution} trans={trans} />
      <Endpoints {...props} />
      <Connections {...props} />
      <Part title={trans.__('Services')}>
        <Scaling {...props} />
        <Services execution={execution} trans={trans} onLogs={show} />
      </Part>
      <Part title={trans.__('CPU and memory')}>
        <Usage execution={execution} model={model} trans={trans} />
      </Part>
      <section ref={logs} className="zoe-Part" aria-label={trans.__('Logs')}>
        <h2>{trans.__('Logs')}</h2>
        <Logs
          execution={execution}
          model={model}
          limit={settings.logLines}
          picked={picked}
          onPick={setPicked}
          trans={trans}
        />
      </section>
      <Part title={trans.__('What happened')}>
        <Story execution={execution} trans={trans} />
      </Part>
      <Part title={trans.__('Parameters')}>
        <Parameters execution={execution} trans={trans} />
      </Part>
    </>
  );
}

function Part(props: { title: string; children: ReactNode }): React.JSX.Element {
  return (
    <section className="zoe-Part" aria-label={props.title}>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}

function Head(props: IPartProps): React.JSX.Element {
  const { execution, trans } = props;
  return (
    <header className="zoe-Detail-head">
      <div className="zoe-Item-head">
        <h1>{execution.name}</h1>
        <StateMark execution={execution} trans={trans} />
      </div>
      <p>{execution.title}</p>
      <dl className="zoe-Facts">
        <dt>{timeWord(execution, trans)}</dt>
        <dd>
          <Elapsed execution={execution} trans={trans} />
        </dd>
        {!isEnded(execution) && <Prospects {...props} />}
        {execution.notebook && (
          <>
            <dt>{trans.__('Asked for by')}</dt>
            <dd>{execution.notebook}</dd>
          </>
        )}
        <dt>{trans.__('Owner')}</dt>
        <dd>{execution.owner}</dd>
      </dl>
      <Verbs {...props} />
    </header>
  );
}

const ON_THE_WAY: Record<IExecution['target']['goal'], readonly string[]> = {
  run: ['submitted', 'queued', 'starting', 'running'],
  suspend: ['suspended'],
  stop: ['stopping']
};

/** What is to come for one that lives; what is wanted only where the state does not say the same. */
function Prospects({ execution, trans }: IPartProps): React.JSX.Element {
  const { state, target } = execution;
  const goals = {
    run: trans.__('to run'),
    suspend: trans.__('to be suspended'),
    stop: trans.__('to end')
  };
  return (
    <>
      {!ON_THE_WAY[target.goal].includes(state) && (
        <>
          <dt>{trans.__('Wanted')}</dt>
          <dd>{goals[target.goal]}</dd>
        </>
      )}
      <dt>{trans.__('Priority')}</dt>
      <dd>
        <TurnText execution={execution} trans={trans} />
      </dd>
      <dt>{trans.__('Stays')}</dt>
      <dd>
        <LifetimeText execution={execution} trans={trans} />
      </dd>
      <dt>{trans.__('Used by')}</dt>
      <dd>
        <Holders execution={execution} trans={trans} />
      </dd>
    </>
  );
}

function timeWord(execution: IExecution, trans: TranslationBundle): string {
  if (execution.state === 'ended') {
    return execution.started_at ? trans.__('Ran for') : trans.__('Waited for');
  }
  return execution.started_at ? trans.__('Running for') : trans.__('Waiting for');
}

function Verbs({ commands, execution, trans }: IPartProps): React.JSX.Element {
  const can = canDo(execution);
  const run = (command: string) => () => void commands.execute(command, { id: execution.id });
  return (
    <div className="zoe-Actions" role="group" aria-label={trans.__('Actions')}>
      {can.resume && (
        <Button
          kind="accept"
          label={trans.__('Resume')}
          onClick={run(CommandIDs.resumeExecution)}
        />
      )}
      {can.suspend && (
        <Button label={trans.__('Suspend…')} onClick={run(CommandIDs.suspendExecution)} />
      )}
      {can.restart && (
        <Button label={trans.__('Restart…')} onClick={run(CommandIDs.restartExecution)} />
      )}
      {can.stop && (
        <Button kind="warn" label={trans.__('Stop…')} onClick={run(CommandIDs.stopExecution)} />
      )}
      {can.forget && (
        <Button kind="warn" label={trans.__('Forget…')} onClick={run(CommandIDs.forgetExecution)} />
      )}
    </div>
  );
}

function Endpoints({ commands, execution, model, trans }: IPartProps): React.JSX.Element | null {
  if (!execution.endpoints.length) {
    return null;
  }
  return (
    <Part title={trans.__('Pages')}>
      <ul className="zoe-Rows">
        {execution.endpoints.map(endpoint => (
          <li key={endpoint.name}>
            <span>{endpoint.title || endpoint.name}</span>
            <Button
              label={trans.__('Open in a tab')}
              title={trans.__('Open %1 in a tab of JupyterLab', endpoint.title)}
              onClick={() =>
                void commands.execute(CommandIDs.openEndpoint, {
                  id: execution.id,
                  endpoint: endpoint.name
                })
              }
            />
            <a
              className="zoe-Link"
              href={model.client.pageUrl(endpoint.url)}
              target="_blank"
              rel="noopener"
            >
              {trans.__('New browser tab')}
              <externalIcon.react tag="span" className="zoe-Button-icon" aria-hidden="true" />
            </a>
          </li>
        ))}
      </ul>
    </Part>
  );
}

function Connections({
  commands,
  connector,
  execution,
  trans
}: IPartProps): React.JSX.Element | null {
  if (!execution.connections.length || !canDo(execution).stop) {
    return null;
  }
  const name = nameToAttach(execution);
  return (
    <Part title={trans.__('Connect a notebook')}>
      <p className="zoe-Hint">
        <Said text={trans.__('Gives: %1', execution.connections.map(given).join(', '))} />
      </p>
      <pre className="zoe-Code">{attachCell(name)}</pre>
      {name !== execution.name && (
        <p className="zoe-Hint">
          {trans.__('By its id: from another notebook, %1 would start a new one.', execution.name)}
        </p>
      )}
      <div className="zoe-Actions">
        {connector && (
          <AttachButton
            commands={commands}
            connector={connector}
            label={trans.__('Attach the notebook in front')}
            title={trans.__('Attach the notebook in front to %1', execution.name)}
            name={name}
            executions={[execution]}
            trans={trans}
          />
        )}
        <Button
          icon={copyIcon}
          label={trans.__('Copy')}
          onClick={() => void commands.execute(CommandIDs.copyAttachCode, { id: execution.id })}
        />
      </div>
    </Part>
  );
}

function Scaling({ commands, execution, trans }: IPartProps): React.JSX.Element | null {
  if (isEnded(execution)) {
    return null;
  }
  return (
    <>
      {execution.scalable.map(scale => (
        <ScaleControl
          key={scale.process}
          scale={scale}
          isDisabled={!canDo(execution).scale}
          trans={trans}
          onScale={count =>
            void commands.execute(CommandIDs.scaleExecution, {
              id: execution.id,
              process: scale.process,
              count
            })
          }
        />
      ))}
    </>
  );
}
