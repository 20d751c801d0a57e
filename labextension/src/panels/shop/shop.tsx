import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import React, { useEffect, useRef, useState } from 'react';

import type { IEntry, IExecution } from '../../api/types';
import { CommandIDs } from '../../commands/ids';
import { zoeIcon } from '../../icons';
import { isUp } from '../../merge';
import type { IZoeModel } from '../../tokens';
import { AttachButton } from '../attach';
import { useSignals } from '../hooks';
import { Button, Notice, Said } from '../parts';
import type { IPanelProps } from './props';
import { found } from './search';

/** Whether the search box is to be given the focus, once it is there. */
interface IWish {
  isSearching: boolean;
  changed: Signal<object, void>;
}

/** The shop: what there is to start. */
export class ShopSection extends ReactWidget {
  constructor(private readonly _props: IPanelProps) {
    super();
    this.addClass('zoe-Section');
    this.title.label = _props.trans.__('Shop');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.label);
  }

  /** Put the cursor into the search box. */
  search(): void {
    this._wish.isSearching = true;
    this._wish.changed.emit();
  }

  protected render(): React.JSX.Element {
    return <Shop {...this._props} wish={this._wish} />;
  }

  private readonly _wish: IWish = { isSearching: false, changed: new Signal<object, void>(this) };
}

function Shop(props: IPanelProps & { wish: IWish }): React.JSX.Element | null {
  const { connector, model, trans, wish } = props;
  const [text, setText] = useState('');
  const input = useRef<HTMLInputElement>(null);
  useSignals(model.changed, wish.changed, ...(connector ? [connector.currentChanged] : []));
  useEffect(() => {
    if (wish.isSearching && input.current) {
      wish.isSearching = false;
      input.current.focus();
    }
  });
  if (model.phase !== 'ready' && !model.entries.length) {
    return null;
  }
  const hits = found(model.entries, text);
  return (
    <>
      <input
        ref={input}
        type="search"
        className="jp-mod-styled zoe-Search"
        placeholder={trans.__('Search the shop')}
        aria-label={trans.__('Search the shop')}
        value={text}
        onChange={event => setText(event.target.value)}
      />
      <ul className="zoe-List" aria-label={trans.__('Applications')}>
        {hits.map(entry => (
          <Card key={`${entry.source}/${entry.name}`} {...props} entry={entry} />
        ))}
      </ul>
      {!hits.length && <Nothing {...props} text={text} onClear={() => setText('')} />}
    </>
  );
}

function Nothing(props: {
  model: IZoeModel;
  text: string;
  trans: TranslationBundle;
  onClear: () => void;
}): React.JSX.Element {
  const { model, text, trans, onClear } = props;
  if (model.entries.length) {
    return (
      <Notice kind="info" title={trans.__('Nothing in the shop matches “%1”', text)}>
        <Button label={trans.__('Show everything')} onClick={onClear} />
      </Notice>
    );
  }
  return (
    <Notice kind="info" title={trans.__('The shop is empty')}>
      <p>{trans.__('The admin chooses what is in it: see c.Zoe.shop_sources.')}</p>
      <Button label={trans.__('Look again')} onClick={() => void model.refresh()} />
    </Notice>
  );
}

function Card(props: IPanelProps & { entry: IEntry }): React.JSX.Element {
  const { commands, connector, entry, model, trans } = props;
  const isAttachable = entry.connections.length > 0;
  const lack = entry.is_runnable ? '' : entry.lacks.join('; ');
  return (
    <li className="zoe-Card" aria-label={entry.title}>
      <Logo entry={entry} model={model} />
      <div className="zoe-Card-text">
        <h3
          className="zoe-Card-title"
          title={trans.__('Version %1 of this entry of the shop', entry.version)}
        >
          {entry.title}
        </h3>
        <p className="zoe-Card-summary">{entry.summary}</p>
        <Tags entry={entry} trans={trans} />
        {lack && (
          <p className="zoe-Card-lack">
            <Said text={trans.__('Cannot run as it is: %1', lack)} />
          </p>
        )}
        <div className="zoe-Actions">
          <Button
            kind="accept"
            label={trans.__('Start…')}
            title={lack || trans.__('Choose how to start %1', entry.title)}
            isDisabled={Boolean(lack)}
            onClick={() =>
              void commands.execute(CommandIDs.startApplication, { entry: entry.name })
            }
          />
          {isAttachable && connector && (
            <AttachButton
              commands={commands}
              connector={connector}
              label={trans.__('Attach')}
              title={trans.__('Start %1 and attach the notebook in front', entry.title)}
              name={entry.name}
              lack={lack}
              executions={upOf(entry, model)}
              trans={trans}
            />
          )}
        </div>
      </div>
    </li>
  );
}

/** What was started from that entry and has not gone. */
function upOf({ name }: IEntry, model: IZoeModel): IExecution[] {
  return [...model.executions.values()].filter(one => one.entry === name && isUp(one));
}

function Tags(props: { entry: IEntry; trans: TranslationBundle }): React.JSX.Element | null {
  const { entry, trans } = props;
  const tags = entry.audience === 'admin' ? [trans.__('for admins'), ...entry.tags] : entry.tags;
  if (!tags.length) {
    return null;
  }
  return (
    <ul className="zoe-Tags" aria-label={trans.__('Tags')}>
      {tags.map(tag => (
        <li key={tag} className="zoe-Tag">
          {tag}
        </li>
      ))}
    </ul>
  );
}

/** Somebody's picture: in an `img` no script of it runs and nothing of it is fetched. */
function Logo(props: { entry: IEntry; model: IZoeModel }): React.JSX.Element {
  const { entry, model } = props;
  const [url, setUrl] = useState<string | null>(null);
  const { link } = model; // one that could not be had is asked for again with the server back
  useEffect(() => {
    let isHere = true;
    if (entry.has_logo) {
      void model.logo(entry.name).then(logo => isHere && setUrl(logo));
    }
    return () => {
      isHere = false;
    };
  }, [entry.name, entry.has_logo, link, model]);
  return (
    <div className="zoe-Logo" aria-hidden="true">
      {url ? <img src={url} alt="" onError={() => setUrl(null)} /> : <zoeIcon.react tag="span" />}
    </div>
  );
}
