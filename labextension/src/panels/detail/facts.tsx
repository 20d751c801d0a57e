import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useRef } from 'react';

import type { IExecution, IService } from '../../api/types';
import { formatDuration, formatMoment, shortImage, staying } from '../../text';
import { useNow } from '../hooks';
import { Mark, Notice, Said } from '../parts';
import { QueueNotes } from '../queue';

interface IFactsProps {
  execution: IExecution;
  trans: TranslationBundle;
}

/** What goes on in words: why it waits, how far it is, how it ended. */
export function Telling({ execution, trans }: IFactsProps): React.JSX.Element | null {
  const { outcome, progress, queue, reason, state } = execution;
  if (queue) {
    return (
      <Notice kind="info" title={trans.__('Number %1 in the queue', queue.position)}>
        <p>
          <Said text={queue.reason.text} />
        </p>
        <QueueNotes queue={queue} trans={trans} />
      </Notice>
    );
  }
  if (state === 'ended') {
    const isBad = outcome === 'failed' || outcome === 'lost';
    return reason ? <Notice kind={isBad ? 'error' : 'info'} title={reason.text} /> : null;
  }
  if (state !== 'running' && progress) {
    return <Notice kind={state === 'suspended' ? 'info' : 'busy'} title={progress} />;
  }
  return reason ? <Notice kind="warning" title={reason.text} /> : null;
}

/** Its priority class, how long it is expected to take, and the moment for which it was put off. */
export function TurnText({ execution, trans }: IFactsProps): React.JSX.Element {
  const { priority, estimate_s, is_assumed, begins_at } = execution;
  const parts = [priority];
  if (estimate_s !== null) {
    const long = formatDuration(estimate_s);
    parts.push(
      is_assumed ? trans.__('takes %1, as earlier ones', long) : trans.__('takes %1', long)
    );
  }
  if (begins_at !== null) {
    parts.push(trans.__('not before %1', formatMoment(begins_at)));
  }
  return <>{parts.join(', ')}</>;
}

/** When it goes away by itself. */
export function LifetimeText({ execution, trans }: IFactsProps): React.JSX.Element {
  const { ends_at } = execution.lifetime;
  const host = useRef<HTMLSpanElement>(null);
  const now = useNow(host, ends_at !== null);
  const text = staying(execution.lifetime, trans);
  const left = ends_at === null ? '' : trans.__('; ends in %1', formatDuration(ends_at - now));
  return <span ref={host}>{text + left}</span>;
}

/** What keeps it from going away. */
export function Holders({ execution, trans }: IFactsProps): React.JSX.Element {
  const { leases, lifetime } = execution;
  if (!leases) {
    return <>{trans.__('no notebook')}</>;
  }
  const text =
    lifetime.together_with === 'server'
      ? trans._n('%1 notebook or Jupyter server', '%1 notebooks or Jupyter servers', leases)
      : trans._n('%1 notebook', '%1 notebooks', leases);
  return <>{text}</>;
}

export function Services(
  props: IFactsProps & { onLogs: (service: string) => void }
): React.JSX.Element {
  const { execution, trans } = props;
  if (!execution.services.length) {
    const none = execution.state === 'ended' ? trans.__('None is left.') : trans.__('None yet.');
    return <p className="zoe-Hint">{none}</p>;
  }
  const hasImages = execution.services.some(service => service.image);
  return (
    <div className="zoe-Table-host" role="region" tabIndex={0} aria-label={trans.__('Services')}>
      <table className="zoe-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Service')}</th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Node')}</th>
            <th scope="col">{trans.__('Try')}</th>
            <th scope="col">{trans.__('Exit code')}</th>
            <th scope="col">{trans.__('Reason')}</th>
            {hasImages && <th scope="col">{trans.__('Image')}</th>}
          </tr>
        </thead>
        <tbody>
          {execution.services.map(service => (
            <Row key={service.name} {...props} service={service} hasImages={hasImages} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row(props: {
  service: IService;
  hasImages: boolean;
  trans: TranslationBundle;
  onLogs: (service: string) => void;
}): React.JSX.Element {
  const { service, hasImages, trans, onLogs } = props;
  const { name, node, attempt, exit_code, reason, image } = service;
  return (
    <tr>
      <th scope="row">
        <button
          type="button"
          className="zoe-Link"
          title={trans.__('Show the log of %1', name)}
          onClick={() => onLogs(name)}
        >
          {name}
        </button>
        {!service.is_core && <span className="zoe-Tag">{trans.__('elastic')}</span>}
      </th>
      <td>
        <Mark look={lookOf(service)} word={serviceWord(service.state, trans)} />
      </td>
      <td>{node}</td>
      <td>{attempt}</td>
      <td>{exit_code ?? ''}</td>
      <td>
        <Said text={reason?.text ?? ''} />
      </td>
      {hasImages && <td title={image}>{shortImage(image)}</td>}
    </tr>
  );
}

/** That a signal ended what was to end is no failure. */
function lookOf({ state, exit_code: code, reason }: IService): string {
  if (state !== 'ended' || code === null) {
    return state;
  }
  if (reason?.code === 'stopped') {
    return 'stopped';
  }
  return code === 0 ? 'succeeded' : 'failed';
}

function serviceWord(state: IService['state'], trans: TranslationBundle): string {
  const words = {
    waiting: trans.__('waiting'),
    starting: trans.__('starting'),
    running: trans.__('running'),
    draining: trans.__('draining'),
    stopping: trans.__('stopping'),
    ended: trans.__('ended')
  };
  return words[state];
}

/** What happened, newest last. */
export function Story({ execution, trans }: IFactsProps): React.JSX.Element {
  if (!execution.story.length) {
    return <p className="zoe-Hint">{trans.__('Nothing has happened yet.')}</p>;
  }
  return (
    <ol className="zoe-Story">
      {execution.story.map(({ at, text }, index) => (
        <li key={`${at}/${index}`}>
          <time dateTime={new Date(at * 1000).toISOString()}>
            {new Date(at * 1000).toLocaleTimeString()}
          </time>
          <span>
            <Said text={text} />
          </span>
        </li>
      ))}
    </ol>
  );
}

export function Parameters({ execution, trans }: IFactsProps): React.JSX.Element {
  const entries = Object.entries(execution.parameters);
  if (!entries.length) {
    return <p className="zoe-Hint">{trans.__('None.')}</p>;
  }
  return (
    <dl className="zoe-Facts">
      {entries.map(([name, value]) => (
        <React.Fragment key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}
