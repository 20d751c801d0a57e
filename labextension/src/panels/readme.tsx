import type { IRenderMime, IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import React, { useEffect, useRef } from 'react';

const NEVER = ['data-commandlinker-command', 'data-commandlinker-args', 'style'];

/** Lab's sanitizer lets commands of Lab through, and pictures that tell their server who reads; this one does not. */
function sanitizerOf({ sanitizer }: IRenderMimeRegistry): IRenderMime.ISanitizer {
  return {
    sanitize: (dirty, options) => {
      const page = new DOMParser().parseFromString(sanitizer.sanitize(dirty, options), 'text/html');
      for (const name of NEVER) {
        page.querySelectorAll(`[${name}]`).forEach(node => node.removeAttribute(name));
      }
      for (const node of page.querySelectorAll('[src]:not([src^="data:"]), [poster], [srcset]')) {
        node.replaceWith(node.getAttribute('alt') ?? '');
      }
      return page.body.innerHTML;
    }
  };
}

/** Somebody's Markdown, sanitized; as plain text where Lab has no renderer for it. */
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
    const own = rendermime.clone({ sanitizer: sanitizerOf(rendermime) });
    const renderer = own.createRenderer(mimeType);
    const model = own.createModel({ data: { [mimeType]: text }, trusted: false });
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
