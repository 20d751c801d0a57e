import type { TranslationBundle } from '@jupyterlab/translation';
import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';

import { everything, type ZoeClient } from '../../api/client';
import { messageOf } from '../../api/errors';
import type { INode } from '../../api/types';
import { aboutNode, formatRoom } from '../../text';
import { Said } from '../parts';
import type { IPanelProps } from './props';

/** What was found, and why it is not all. */
interface ISeen {
  nodes: readonly INode[];
  trouble: string;
}

/** The machines, and what is given away of each. They change without an event: each opening asks anew. */
export function Machines(props: IPanelProps): React.JSX.Element {
  const { trans } = props;
  const [isOpen, setOpen] = useState(false);
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  return (
    <section className="zoe-Machines">
      <button
        type="button"
        className="zoe-Machines-title"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Caret.react tag="span" aria-hidden="true" />
        {trans.__('Machines')}
      </button>
      {isOpen && <MachineList {...props} />}
    </section>
  );
}

function MachineList({ model, trans }: IPanelProps): React.JSX.Element | null {
  const [seen, setSeen] = useState<ISeen | null>(null);
  const { client, link } = model; // with the server back they are asked for again
  useEffect(() => {
    let isHere = true;
    void look(client, trans).then(found => isHere && setSeen(found));
    return () => {
      isHere = false;
    };
  }, [client, link, trans]);
  if (!seen) {
    return null;
  }
  const { nodes } = seen;
  const trouble = seen.trouble || (nodes.length ? '' : trans.__('There are none.'));
  return (
    <>
      {trouble && (
        <p className="zoe-Item-telling" role="status">
          <Said text={trouble} />
        </p>
      )}
      {nodes.length > 0 && (
        <ul className="zoe-List" aria-label={trans.__('Machines')}>
          {nodes.map(node => (
            <Machine key={node.name} node={node} trans={trans} />
          ))}
        </ul>
      )}
    </>
  );
}

function Machine({ node, trans }: { node: INode; trans: TranslationBundle }): React.JSX.Element {
  const about = aboutNode(node, trans);
  return (
    <li className="zoe-Machine" data-machine={node.name}>
      <span className="zoe-Item-name">{node.name}</span>
      <div className="zoe-Item-line">
        <span>{formatRoom(node, trans)}</span>
        <span>{trans._n('%1 service', '%1 services', node.services)}</span>
      </div>
      {about && (
        <p className="zoe-Item-telling">
          <Said text={about} />
        </p>
      )}
    </li>
  );
}

async function look(client: ZoeClient, trans: TranslationBundle): Promise<ISeen> {
  try {
    const [nodes, { silence }] = await Promise.all([
      everything(cursor => client.nodes(cursor)),
      client.info()
    ]);
    const trouble = silence && trans.__('The machines cannot be reached: %1', silence);
    return { nodes, trouble };
  } catch (error) {
    return { nodes: [], trouble: messageOf(error) };
  }
}
