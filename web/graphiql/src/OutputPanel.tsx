// GraphiQL shows only the last event of a subscription; this panel shows all that a program printed, as it arrives.
import type { GraphiQLPlugin } from '@graphiql/react';
import { useLayoutEffect, useRef, useSyncExternalStore } from 'react';
import { clear, current, subscribe } from './output-log';

function Output() {
  const { pieces, status } = useSyncExternalStore(subscribe, current);
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);

  // Follow the output, unless the reader has scrolled up to read.
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [pieces]);

  function onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    atEnd.current = scrollHeight - scrollTop - clientHeight < 20;
  }

  return (
    <section className="output" aria-label="Output">
      <header>
        <h2>Output</h2>
        <button type="button" className="graphiql-un-styled" onClick={clear}>
          Clear
        </button>
        <span role="status">{status}</span>
      </header>
      <pre ref={box} onScroll={onScroll} role="log" aria-label="What the program printed" tabIndex={0}>
        {pieces.length === 0 && !status && <em>Run code, or subscribe to executeCode: what it prints appears here, line by line.</em>}
        {pieces.map((piece, index) => (
          <span key={index} className={piece.kind}>
            {piece.text}
          </span>
        ))}
      </pre>
    </section>
  );
}

const Icon = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
    <rect x="2" y="4" width="20" height="16" rx="2" />
    <path d="M6 9l3 3-3 3M12 16h6" />
  </svg>
);

export const outputPlugin: GraphiQLPlugin = { title: 'Output', icon: Icon, content: Output };
