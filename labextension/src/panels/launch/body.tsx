import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useMemo, useRef, useState } from 'react';

import { ZoeApiError, isAbort, messageOf } from '../../api/errors';
import type { IEntryDetail, IExecution, ISubmission } from '../../api/types';
import type { IZoeModel, IZoeSettings, Lifetime } from '../../tokens';
import { staying } from '../../text';
import { useDebounced } from '../hooks';
import { Button, Notice, Said } from '../parts';
import { Readme } from '../readme';
import { CheckLine, Verdict, type Checked } from './check';
import { commandLine } from './commandline';
import { ParameterForm, firstWrongField } from './form';
import { NotebookField, LifetimeField, NameField, TurnFields } from './frame';
import { chosen, defaultsOf, placed, secretsOf, type IFormSchema, type Values } from './schema';
import { clientOf, openNotebooks, submissionOf, type Client } from './submission';
import { ANY_TURN, type ITurn } from './turn';

export interface ILaunchProps {
  detail: IEntryDetail;
  model: IZoeModel;
  settings: IZoeSettings;
  notebooks: INotebookTracker | null;
  rendermime: IRenderMimeRegistry | null;
  trans: TranslationBundle;
  /** Shown as the form is opened; the defaults where absent. */
  parameters: Values;
  idPrefix: string;
  /** Do it, and attach the notebook of that path if one is named; raises what the server says against it. */
  start: (submission: ISubmission, attachTo: string) => Promise<IExecution>;
}

/** The form that starts an application. */
export function LaunchForm(props: ILaunchProps): React.JSX.Element {
  const { detail, rendermime, trans } = props;
  const { entry, readme } = detail;
  const form = useLaunch(props);
  const host = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (form.refusal) {
      firstWrongField(host.current)?.focus();
    }
  }, [form.refusal]);
  return (
    <form
      ref={host}
      className="zoe-Launch"
      aria-label={trans.__('Start %1', entry.title)}
      noValidate
      onSubmit={event => event.preventDefault()}
    >
      <h2>{trans.__('Start %1', entry.title)}</h2>
      <p>{entry.summary}</p>
      {readme && (
        <details className="zoe-About">
          <summary>{trans.__('About %1', entry.title)}</summary>
          <Readme rendermime={rendermime} text={readme} />
        </details>
      )}
      <ParameterForm {...form} idPrefix={props.idPrefix} trans={trans}>
        <Frame {...props} form={form} />
      </ParameterForm>
      <CheckLine checked={form.checked} isFresh={form.isFresh} trans={trans} />
      <section className="zoe-Equivalent">
        <h3>{trans.__('The same from a notebook')}</h3>
        <pre className="zoe-Code">{form.command}</pre>
      </section>
      <StartButtons {...props} form={form} />
    </form>
  );
}

type Form = ReturnType<typeof useLaunch>;

/** What is asked of every application. */
function Frame(props: ILaunchProps & { form: Form }): React.JSX.Element {
  const { form, idPrefix, notebooks, trans } = props;
  const paths = [...openNotebooks(notebooks).keys()];
  return (
    <>
      <NameField
        id={`${idPrefix}-name`}
        value={form.name}
        placeholder={props.detail.entry.name}
        problems={form.problems?.frame.name ?? []}
        trans={trans}
        onChange={form.setName}
      />
      {notebooks && (
        <NotebookField
          id={`${idPrefix}-notebook`}
          value={form.notebook}
          paths={paths}
          trans={trans}
          onChange={form.setNotebook}
        />
      )}
      <LifetimeField
        id={`${idPrefix}-lifetime`}
        value={form.lifetime}
        hasKernel={Boolean(form.client.kernel_id)}
        usual={usualOf(form.checked, trans)}
        trans={trans}
        onChange={form.setLifetime}
      />
      <TurnFields
        id={`${idPrefix}-turn`}
        value={form.turn}
        problems={form.problems?.frame ?? {}}
        trans={trans}
        onChange={form.setTurn}
      />
    </>
  );
}

/** How long it stays unless something else is chosen; empty while that is not known. */
function usualOf(checked: Checked, trans: TranslationBundle): string {
  const lifetime = checked.kind === 'good' ? checked.check.application.lifetime : null;
  return lifetime ? staying(lifetime as IExecution['lifetime'], trans) : '';
}

function StartButtons(props: ILaunchProps & { form: Form }): React.JSX.Element {
  const { detail, form, trans } = props;
  const canAttach = detail.entry.connections.length > 0 && Boolean(form.client.kernel_id);
  return (
    <footer className="zoe-Launch-foot">
      {form.failure && (
        <Notice kind="error" title={trans.__('It was not started')}>
          <p>
            <Said text={form.failure} />
          </p>
        </Notice>
      )}
      <div className="zoe-Actions">
        <Button
          isSubmit
          kind="accept"
          label={form.isStarting ? trans.__('Starting…') : trans.__('Start')}
          isDisabled={form.isStarting}
          onClick={() => void form.start('')}
        />
        {canAttach && (
          <Button
            label={trans.__('Start and attach the notebook')}
            isDisabled={form.isStarting}
            onClick={() => void form.start(form.notebook)}
          />
        )}
        <Verdict checked={form.checked} isFresh={form.isFresh} trans={trans} />
      </div>
    </footer>
  );
}

/** The state of the form: what is in it, what the server thinks of it, and starting it. */
function useLaunch(props: ILaunchProps) {
  const { detail, model, settings, notebooks } = props;
  const schema = detail.form as IFormSchema;
  const defaults = useMemo(() => defaultsOf(schema), [schema]);
  const [values, setValues] = useState<Values>({ ...defaults, ...props.parameters });
  const [name, setName] = useState('');
  const [lifetime, setLifetime] = useState<Lifetime>(settings.defaultLifetime);
  const [turn, setTurn] = useState<ITurn>(ANY_TURN);
  const [notebook, setNotebook] = useState(notebooks?.currentWidget?.context.path ?? '');
  const client = useClient(notebooks, notebook);
  const effective = lifetime === 'kernel' && !client.kernel_id ? 'entry' : lifetime;
  const parameters = useMemo(() => chosen(values, defaults), [values, defaults]);
  const submission = submissionOf({
    entry: detail.entry.name,
    name,
    parameters,
    lifetime: effective,
    turn,
    client,
    server: model.info?.server ?? ''
  });
  const { checked, isFresh } = useCheck(model, submission, schema);
  const starting = useStart(props, submission, schema);
  const command = commandLine({
    entry: detail.entry.name,
    parameters,
    secrets: secretsOf(schema),
    name: name.trim(),
    lifetime: effective,
    turn
  });
  const isFilledIn = Object.keys(parameters).length > 0 || name.trim() || turn !== ANY_TURN;
  const isUntouched = !isFilledIn && !starting.hasTried;
  const told = starting.refused ?? asTold(checked, isUntouched);
  return {
    ...starting,
    schema,
    defaults,
    values,
    setValues,
    name,
    setName,
    lifetime: effective,
    setLifetime,
    turn,
    setTurn,
    notebook,
    setNotebook,
    client,
    checked: told,
    isFresh,
    command,
    problems: told.kind === 'wrong' ? told.problems : null
  };
}

/** A form that was just opened is not wrong: it only lacks something. */
function asTold(checked: Checked, isUntouched: boolean): Checked {
  return checked.kind === 'wrong' && isUntouched ? { ...checked, kind: 'empty' } : checked;
}

function useClient(notebooks: INotebookTracker | null, path: string): Client {
  const [client, setClient] = useState<Client>({});
  useEffect(() => {
    let isCurrent = true;
    setClient({});
    void clientOf(openNotebooks(notebooks).get(path)).then(found => isCurrent && setClient(found));
    return () => {
      isCurrent = false;
    };
  }, [notebooks, path]);
  return client;
}

/** Ask the server about the form whenever it has been left alone for a moment. */
function useCheck(model: IZoeModel, submission: ISubmission, schema: IFormSchema) {
  const [checked, setChecked] = useState<Checked>({ kind: 'checking' });
  const [answered, setAnswered] = useState('');
  const now = JSON.stringify(submission);
  const asked = useDebounced(now, 400);
  useEffect(() => {
    const abort = new AbortController();
    const done = (result: Checked): void => {
      setChecked(result);
      setAnswered(asked);
    };
    model.client.check(JSON.parse(asked) as ISubmission, abort.signal).then(
      check => done({ kind: 'good', check }),
      (error: unknown) => {
        if (!isAbort(error)) {
          done(refused(error, schema));
        }
      }
    );
    return () => abort.abort();
  }, [model, asked, schema]);
  return { checked, isFresh: now === answered };
}

function refused(error: unknown, schema: IFormSchema): Checked {
  const problems = error instanceof ZoeApiError ? error.problems : [];
  return problems.length
    ? { kind: 'wrong', problems: placed(problems, schema) }
    : { kind: 'unknown', message: messageOf(error) };
}

function useStart(props: ILaunchProps, submission: ISubmission, schema: IFormSchema) {
  const [isStarting, setStarting] = useState(false);
  const [refusal, setRefusal] = useState<{ of: string; result: Checked } | null>(null);
  const isBusy = useRef(false);
  const body = JSON.stringify(submission);
  const start = async (attachTo: string): Promise<void> => {
    if (isBusy.current) {
      return;
    }
    isBusy.current = true;
    setStarting(true);
    setRefusal(null);
    try {
      await props.start(submission, attachTo);
    } catch (error) {
      setRefusal({ of: body, result: refused(error, schema) });
    } finally {
      isBusy.current = false;
      setStarting(false);
    }
  };
  // What was refused is said until the form is changed.
  const result = refusal?.of === body ? refusal.result : null;
  return {
    start,
    isStarting,
    refusal,
    hasTried: refusal !== null,
    refused: result?.kind === 'wrong' ? result : null,
    failure: result?.kind === 'unknown' ? result.message : ''
  };
}
