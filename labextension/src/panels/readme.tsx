import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import React, { useEffect, useRef } from 'react';

/** Somebody's Markdown, sanitized by Lab's own renderer; as plain text where there is none. */
export function Readme(props: {
  rendermime: IRenderMimeRegistry | null;
  text: string;
}): React.JSX.Element {
  const { rendermime, text } = props;
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const node = host.current;
    if (!rendermime || !node) {
      return;
    }
    const mimeType = 'text/markdown';
    const renderer = rendermime.createRenderer(mimeType);
    const model = rendermime.createModel({ data: { [mimeType]: text }, trusted: false });
    MessageLoop.sendMessage(renderer, Widget.Msg.BeforeAttach);
    node.replaceChildren(renderer.node);
    MessageLoop.sendMessage(renderer, Widget.Msg.AfterAttach);
    void renderer.renderModel(model);
    return () => renderer.dispose();
  }, [rendermime, text]);
  return (
    <div ref={host} className="zoe-Readme">
      {!rendermime && <pre>{text}</pre>}
    </div>
  );
}
