import type { TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import React, { useEffect, useRef, useState, type RefObject } from 'react';

import { everything } from '../../api/client';
import { messageOf } from '../../api/errors';
import type { IExecution, ISample } from '../../api/types';
import { formatBytes, formatCores } from '../../text';
import type { IZoeModel } from '../../tokens';
import { Notice } from '../parts';
import { Chart } from './chart';
import { seriesOf } from './series';

const INTERVAL_MS = 2000;

interface IUsageProps {
  execution: IExecution;
  model: IZoeModel;
  trans: TranslationBundle;
}

/** CPU and memory over time, asked for only while they can be seen. */
export function Usage(props: IUsageProps): React.JSX.Element {
  const { trans } = props;
  const host = useRef<HTMLDivElement>(null);
  const { samples, problem } = useSamples(props, host);
  return (
    <div ref={host} className="zoe-Usage">
      {problem && <Notice kind="warning" title={trans.__('No new figures: %1', problem)} />}
      {samples?.length === 0 && (
        <Notice kind="info" title={trans.__('Nothing has been measured yet.')} />
      )}
      {!samples && !problem && <Notice kind="busy" title={trans.__('Loading…')} />}
      {samples && samples.length > 0 && <Charts samples={samples} trans={trans} />}
    </div>
  );
}

function Charts({
  samples,
  trans
}: {
  samples: ISample[];
  trans: TranslationBundle;
}): React.JSX.Element {
  const all = trans.__('all services');
  return (
    <>
      <Chart
        title={trans.__('CPU (cores)')}
        series={seriesOf(samples, 'cpu_cores', all)}
        base={10}
        least={0.1}
        format={formatCores}
        formatTick={formatCores}
        trans={trans}
      />
      <Chart
        title={trans.__('Memory')}
        series={seriesOf(samples, 'memory_bytes', all)}
        base={2}
        least={2 ** 20}
        format={formatBytes}
        formatTick={formatBytes}
        trans={trans}
      />
    </>
  );
}

function useSamples({ execution, model }: IUsageProps, host: RefObject<HTMLElement>) {
  const [samples, setSamples] = useState<ISample[] | null>(null);
  const [problem, setProblem] = useState('');
  const isOver = execution.state === 'ended';
  useEffect(() => {
    const poll = new Poll({
      auto: false,
      factory: async () => {
        try {
          setSamples(await everything(cursor => model.client.usage(execution.id, cursor)));
          setProblem('');
        } catch (error) {
          setProblem(messageOf(error));
          throw error;
        }
      },
      frequency: { interval: isOver ? Poll.NEVER : INTERVAL_MS, backoff: true, max: 30_000 },
      standby: () => document.hidden || !host.current?.offsetParent
    });
    void poll.start();
    return () => poll.dispose();
  }, [model, execution.id, isOver, host]);
  return { samples, problem };
}
