import { showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, caretUpIcon, downloadIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useMemo, useRef, useState } from 'react';

import { messageOf } from '../../api/errors';
import type { IExecution } from '../../api/types';
import type { IZoeModel } from '../../tokens';
import { Button, Notice } from '../parts';
import { LogFollower } from './follower';
import { LogLines } from './loglines';

interface ILogProps {
  execution: IExecution;
  model: IZoeModel;
  /** How many lines are kept. */
  limit: number;
  /** The service that was asked for; the first one where it is none of them. */
  picked: string;
  onPick: (service: string) => void;
  trans: TranslationBundle;
}

/** The logs of the services: one at a time, as they are written. */
export function Logs(props: ILogProps): React.JSX.Element {
  const { execution, picked, trans } = props;
  const names = execution.services.map(service => service.name);
  const service = names.includes(picked) ? picked : (names[0] ?? '');
  if (!service) {
    return <Notice kind="info" title={trans.__('It has no service now, so there is no log.')} />;
  }
  const { attempt, state } = execution.services.find(one => one.name === service) ?? {};
  return (
    <LogView
      key={`${service}#${attempt}#${state === 'waiting'}`}
      {...props}
      names={names}
      service={service}
    />
  );
}

interface ILogViewProps extends ILogProps {
  names: string[];
  service: string;
}

function LogView(props: ILogViewProps): React.JSX.Element {
  const { model, names, service, trans, onPick } = props;
  const log = useLog(props);
  const [isWrapped, setWrapped] = useState(true);
  return (
    <div className="zoe-Logs">
      <div className="zoe-Logs-tools" role="toolbar" aria-label={trans.__('Log tools')}>
        <select
          className="zoe-Select"
          aria-label={trans.__('Service')}
          value={service}
          onChange={event => onPick(event.target.value)}
        >
          {names.map(name => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <SearchBox log={log} trans={trans} />
        <Button
          label={log.isFollowing ? trans.__('Pause') : followLabel(log.waiting, trans)}
          title={
            log.isFollowing ? trans.__('Hold the log still') : trans.__('Go to the end and follow')
          }
          onClick={() => log.setFollowing(!log.isFollowing)}
        />
        <Button
          label={trans.__('Wrap')}
          isPressed={isWrapped}
          onClick={() => setWrapped(!isWrapped)}
        />
        <Button
          icon={downloadIcon}
          isIconOnly
          label={trans.__('Download the whole log')}
          onClick={() => void download(props, model)}
        />
      </div>
      <LogState log={log} limit={props.limit} trans={trans} />
      <div
        ref={log.host}
        className="zoe-Log"
        role="log"
        aria-live="off"
        aria-label={trans.__('Log of %1', service)}
        tabIndex={0}
        data-wrap={isWrapped}
        onScroll={log.onScroll}
      />
    </div>
  );
}

type Log = ReturnType<typeof useLog>;

function followLabel(waiting: number, trans: TranslationBundle): string {
  return waiting
    ? trans._n('Follow (%1 new line)', 'Follow (%1 new lines)', waiting)
    : trans.__('Follow');
}

/** Go to the end whenever the element gets a size: a log that was drawn in a hidden tab has none. */
function keepAtEnd(node: HTMLElement): () => void {
  const observer = new ResizeObserver(() => {
    node.scrollTop = node.scrollHeight;
  });
  observer.observe(node);
  return () => observer.disconnect();
}

/** The log in its element: drawn once per frame while it is followed, held still while it is not. */
function useLog({ execution, model, service, limit }: ILogViewProps) {
  const host = useRef<HTMLDivElement>(null);
  const lines = useRef<LogLines | null>(null);
  const [isFollowing, setFollowing] = useState(true);
  const [seen, setSeen] = useState(0);
  const [, draw] = useState(0);
  const [search, setSearch] = useState('');
  const follower = useMemo(
    () => new LogFollower(model.client, { id: execution.id, service, limit }),
    [model, execution.id, service, limit]
  );
  useEffect(() => {
    let frame = 0;
    const later = (): void => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw(count => count + 1);
      });
    };
    if (host.current) {
      lines.current = new LogLines(host.current, follower.buffer);
    }
    follower.changed.connect(later);
    later();
    return () => {
      cancelAnimationFrame(frame);
      follower.dispose();
    };
  }, [follower]);
  const total = follower.buffer.dropped + follower.buffer.lines.length;
  useEffect(() => {
    if (isFollowing) {
      lines.current?.draw();
      setSeen(total);
    }
  }, [isFollowing, total]);
  useEffect(
    () => (isFollowing && host.current ? keepAtEnd(host.current) : undefined),
    [isFollowing]
  );
  const hits = useMemo(
    () => lines.current?.find(search) ?? 0,
    // What is drawn is what is searched.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [search, seen]
  );
  const onScroll = (): void => {
    const node = host.current;
    if (node && isFollowing && node.scrollHeight - node.scrollTop - node.clientHeight > 40) {
      setFollowing(false);
    }
  };
  const go = (step: 1 | -1): number => {
    setFollowing(false);
    return lines.current?.go(step) ?? 0;
  };
  const waiting = Math.max(0, total - seen);
  return {
    follower,
    host,
    isFollowing,
    setFollowing,
    waiting,
    search,
    setSearch,
    hits,
    go,
    onScroll
  };
}

function SearchBox({ log, trans }: { log: Log; trans: TranslationBundle }): React.JSX.Element {
  const [place, setPlace] = useState(0);
  const go = (step: 1 | -1) => () => setPlace(log.go(step));
  return (
    <span className="zoe-Logs-search">
      <input
        type="search"
        className="jp-mod-styled zoe-Search"
        placeholder={trans.__('Search')}
        aria-label={trans.__('Search the log')}
        value={log.search}
        onChange={event => {
          setPlace(0);
          log.setSearch(event.target.value);
        }}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            go(event.shiftKey ? -1 : 1)();
          }
        }}
      />
      {log.search && (
        <>
          <span className="zoe-Hint" role="status">
            {trans.__('%1 of %2', place, log.hits)}
          </span>
          <Button
            kind="plain"
            isIconOnly
            icon={caretUpIcon}
            label={trans.__('Previous hit')}
            onClick={go(-1)}
          />
          <Button
            kind="plain"
            isIconOnly
            icon={caretDownIcon}
            label={trans.__('Next hit')}
            onClick={go(1)}
          />
        </>
      )}
    </span>
  );
}

function LogState(props: {
  log: Log;
  limit: number;
  trans: TranslationBundle;
}): React.JSX.Element | null {
  const { log, limit, trans } = props;
  const { state, problem, buffer } = log.follower;
  if (state === 'failed') {
    return <Notice kind="error" title={problem} />;
  }
  if (state === 'lost') {
    return <Notice kind="busy" title={trans.__('The log was interrupted; connecting again…')} />;
  }
  const texts = {
    connecting: trans.__('Opening the log…'),
    absent: trans.__('There is no log yet'),
    following: log.isFollowing ? trans.__('Following') : trans.__('Held still'),
    ended: trans.__('End of the log')
  };
  const short = buffer.dropped > 0 ? trans.__('; the last %1 lines', limit) : '';
  const isEmpty = !buffer.lines.length && (state === 'following' || state === 'ended');
  const empty = isEmpty ? trans.__('; nothing was written') : '';
  return (
    <p className="zoe-Hint zoe-Logs-state" role="status" data-state={state}>
      {texts[state] + short + empty}
    </p>
  );
}

async function download(
  { execution, service, trans }: ILogViewProps,
  model: IZoeModel
): Promise<void> {
  try {
    const response = await model.client.logs(execution.id, { service });
    const url = URL.createObjectURL(await response.blob());
    const link = document.createElement('a');
    link.href = url;
    link.download = `${execution.name}-${service}.log`;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
  } catch (error) {
    await showErrorMessage(trans.__('Could not download the log'), messageOf(error));
  }
}
