import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useState, type KeyboardEvent, type PointerEvent } from 'react';

import { useWidth } from '../hooks';
import { highest, nearest, ticksOf, type ISeries } from './series';

const HEIGHT = 150;
const MARGIN = { top: 8, right: 12, bottom: 22, left: 62 };
const SHORTEST_S = 60;
const ANCHORS = ['start', 'middle', 'end'] as const;

interface IChartProps {
  title: string;
  series: readonly ISeries[];
  base: 10 | 2;
  /** The axis reaches at least so far: noise is not blown up. */
  least: number;
  format: (value: number) => string;
  /** On the axis, where the title says the unit. */
  formatTick: (value: number) => string;
  trans: TranslationBundle;
}

interface IScales {
  x: (at: number) => number;
  y: (value: number) => number;
  at: (x: number) => number;
  from: number;
  to: number;
  ticks: number[];
  width: number;
}

/** Lines over time, with what they say in words beside them. */
export function Chart(props: IChartProps): React.JSX.Element {
  const { title } = props;
  const [host, width] = useWidth();
  const [cursor, setCursor] = useState<number | null>(null);
  const scales = width > 0 ? scalesOf(props, width) : null;
  return (
    <figure className="zoe-Chart">
      <figcaption>
        <h3>{title}</h3>
      </figcaption>
      <div ref={host} className="zoe-Chart-host">
        {scales && <Plot {...props} scales={scales} cursor={cursor} onCursor={setCursor} />}
      </div>
      <Legend {...props} cursor={cursor} />
    </figure>
  );
}

function scalesOf({ series, base, least }: IChartProps, width: number): IScales {
  const moments = series.flatMap(({ points }) => points.map(point => point.at));
  const to = Math.max(...moments);
  const from = Math.min(to - SHORTEST_S, ...moments);
  const ticks = ticksOf(Math.max(least, ...series.map(highest)), base);
  const top = ticks[ticks.length - 1];
  const inner = {
    width: width - MARGIN.left - MARGIN.right,
    height: HEIGHT - MARGIN.top - MARGIN.bottom
  };
  return {
    x: at => MARGIN.left + ((at - from) / (to - from)) * inner.width,
    y: value => MARGIN.top + inner.height * (1 - value / top),
    at: x => from + ((x - MARGIN.left) / inner.width) * (to - from),
    from,
    to,
    ticks,
    width
  };
}

interface IPlotProps extends IChartProps {
  scales: IScales;
  cursor: number | null;
  onCursor: (at: number | null) => void;
}

function Plot(props: IPlotProps): React.JSX.Element {
  const { series, scales, cursor, onCursor, title, trans } = props;
  const move = (event: PointerEvent<SVGSVGElement>): void => {
    const { left } = event.currentTarget.getBoundingClientRect();
    const at = scales.at(event.clientX - left);
    onCursor(Math.min(scales.to, Math.max(scales.from, at)));
  };
  return (
    <svg
      className="zoe-Chart-plot"
      width={scales.width}
      height={HEIGHT}
      role="img"
      aria-label={trans.__('%1 over time; the arrow keys read it at other moments', title)}
      tabIndex={0}
      onPointerMove={move}
      onPointerLeave={() => onCursor(null)}
      onBlur={() => onCursor(null)}
      onKeyDown={event => step(event, props)}
    >
      <Axes {...props} />
      {series.map((one, index) => (
        <polyline
          key={one.name}
          className="zoe-Chart-line"
          data-line={index}
          points={pointsOf(one, scales)}
        />
      ))}
      {cursor !== null && (
        <line
          className="zoe-Chart-cursor"
          x1={scales.x(cursor)}
          x2={scales.x(cursor)}
          y1={MARGIN.top}
          y2={HEIGHT - MARGIN.bottom}
        />
      )}
    </svg>
  );
}

function step(event: KeyboardEvent, { scales, cursor, onCursor }: IPlotProps): void {
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
  if (event.key === 'Escape') {
    onCursor(null);
  } else if (by !== undefined) {
    event.preventDefault();
    const at = (cursor ?? scales.to) + (by * (scales.to - scales.from)) / 60;
    onCursor(Math.min(scales.to, Math.max(scales.from, at)));
  }
}

function pointsOf({ points }: ISeries, { x, y }: IScales): string {
  return points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
}

function Axes({ scales, formatTick }: IPlotProps): React.JSX.Element {
  const { from, to, ticks, width, x, y } = scales;
  const moments = [from, (from + to) / 2, to];
  return (
    <g className="zoe-Chart-axes" aria-hidden="true">
      {ticks.map(tick => (
        <g key={tick}>
          <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(tick)} y2={y(tick)} />
          <text x={MARGIN.left - 6} y={y(tick) + 4} textAnchor="end">
            {formatTick(tick)}
          </text>
        </g>
      ))}
      {moments.map((at, index) => (
        <text key={index} x={x(at)} y={HEIGHT - 6} textAnchor={ANCHORS[index]}>
          {new Date(at * 1000).toLocaleTimeString()}
        </text>
      ))}
    </g>
  );
}

/** The values in words: at the cursor, else the newest. It is what a screen reader gets of the plot. */
function Legend(props: IChartProps & { cursor: number | null }): React.JSX.Element {
  const { series, format, cursor, trans } = props;
  return (
    <ul className="zoe-Legend" aria-live={cursor === null ? 'off' : 'polite'}>
      {series.map((one, index) => {
        const point = cursor === null ? one.points[one.points.length - 1] : nearest(one, cursor);
        const value = point ? format(point.value) : '–';
        return (
          <li key={one.name}>
            <svg width="22" height="10" aria-hidden="true">
              <line className="zoe-Chart-line" data-line={index} x1="0" x2="22" y1="5" y2="5" />
            </svg>
            {one.name}: <b>{value}</b>
            {cursor === null && (
              <span className="zoe-Hint">{trans.__('highest %1', format(highest(one)))}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
