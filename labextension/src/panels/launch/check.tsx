import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ICheck } from '../../api/types';
import { formatAmount } from '../../text';
import { Mark, Notice, Said } from '../parts';
import type { IPlacedProblems } from './schema';

/** What the server said about the form as it is. */
export type Checked =
  | { kind: 'checking' }
  | { kind: 'good'; check: ICheck }
  | { kind: 'wrong'; problems: IPlacedProblems }
  /** Wrong too, in a form that nobody has filled in yet. */
  | { kind: 'empty'; problems: IPlacedProblems }
  | { kind: 'unknown'; message: string };

/** The reason's code where others have the room. */
const LACKS_ROOM = 'waits_for_resources';

/** What it would reserve, and whether that fits now. */
export function CheckLine(props: {
  checked: Checked;
  isFresh: boolean;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { checked, isFresh, trans } = props;
  return (
    <div className="zoe-Check" aria-live="polite" aria-busy={!isFresh}>
      <CheckText checked={checked} trans={trans} />
    </div>
  );
}

/** The same in a word or two, beside what starts it; read out where it is told whole. */
export function Verdict(props: {
  checked: Checked;
  isFresh: boolean;
  trans: TranslationBundle;
}): React.JSX.Element | null {
  const { checked, isFresh, trans } = props;
  if (checked.kind === 'checking' || checked.kind === 'unknown' || !isFresh) {
    return null;
  }
  const [look, word] =
    checked.kind === 'good'
      ? verdictOf(checked.check, trans)
      : checked.kind === 'wrong'
        ? ['failed', trans.__('Something is wrong')]
        : ['waiting', trans.__('Something is to be filled in')];
  return (
    <span className="zoe-Launch-verdict" aria-hidden="true">
      <Mark look={look} word={word} />
    </span>
  );
}

function verdictOf({ fits_now: fits }: ICheck, trans: TranslationBundle): [string, string] {
  return fits ? ['running', trans.__('Fits now')] : ['queued', trans.__('Would wait')];
}

function CheckText({
  checked,
  trans
}: {
  checked: Checked;
  trans: TranslationBundle;
}): React.JSX.Element {
  if (checked.kind === 'checking') {
    return <Notice kind="busy" title={trans.__('Checking…')} />;
  }
  if (checked.kind === 'unknown') {
    return (
      <Notice kind="error" title={trans.__('It could not be checked')}>
        <p>
          <Said text={checked.message} />
        </p>
      </Notice>
    );
  }
  if (checked.kind === 'empty') {
    return (
      <Notice kind="info" title={trans.__('Something is to be filled in first')}>
        <Rest problems={checked.problems} />
      </Notice>
    );
  }
  if (checked.kind === 'wrong') {
    return (
      <Notice kind="error" title={trans.__('It cannot be started like this')}>
        <Rest problems={checked.problems} />
        {isSaidAtFields(checked.problems) && (
          <p>{trans.__('What is wrong is said at the fields.')}</p>
        )}
      </Notice>
    );
  }
  return <Good check={checked.check} trans={trans} />;
}

function isSaidAtFields({ fields, frame }: IPlacedProblems): boolean {
  return Object.keys(fields).length > 0 || Object.keys(frame).length > 0;
}

/** What is wrong and about no field. */
function Rest({ problems }: { problems: IPlacedProblems }): React.JSX.Element {
  return (
    <>
      {problems.rest.map(problem => (
        <p key={problem}>
          <Said text={problem} />
        </p>
      ))}
    </>
  );
}

function Good({ check, trans }: { check: ICheck; trans: TranslationBundle }): React.JSX.Element {
  const { core, elastic, fits_now: fits, nodes, reason, problems } = check;
  const [look, word] = verdictOf(check, trans);
  const hasElastic = elastic.cores > 0 || elastic.memory_bytes > 0 || elastic.gpus > 0;
  return (
    <>
      <p>
        <Mark look={look} word={word} />{' '}
        {fits && nodes.length > 0 && trans.__('on %1', nodes.join(', '))}
        {!fits && reason && <Said text={reason.text} />}
      </p>
      {!fits && reason?.code === LACKS_ROOM && (
        <p className="zoe-Hint">
          {trans.__('What was given to others counts as taken, also while they do not use it.')}
        </p>
      )}
      <p>
        {trans.__('Reserves %1', formatAmount(core, trans))}
        {hasElastic &&
          trans.__('; up to %1 more where there is room', formatAmount(elastic, trans))}
      </p>
      {problems.length > 0 && (
        <Notice
          kind="warning"
          title={trans.__('The environment that would run it lacks something')}
        >
          {problems.map(problem => (
            <p key={problem}>
              <Said text={problem} />
            </p>
          ))}
        </Notice>
      )}
    </>
  );
}
