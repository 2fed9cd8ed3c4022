import './workers';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { CredentialField } from './CredentialField';
import { examples } from './examples';
import { fetcher } from './fetcher';
import { outputPlugin } from './OutputPanel';
// Not `graphiql/style.css`: that one carries Monaco's styles a second time and 300 kB of fonts as data: URLs.
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import '@graphiql/plugin-explorer/style.css';
import 'graphiql/graphiql.css';
import './page.css';

// Made once: a new list would make GraphiQL start over with its panels.
const plugins = [outputPlugin, explorerPlugin(), HISTORY_PLUGIN];

createRoot(document.getElementById('root')!).render(
  <GraphiQL fetcher={fetcher} plugins={plugins} visiblePlugin={outputPlugin} defaultTabs={examples.map(query => ({ query }))}>
    <GraphiQL.Logo>
      <CredentialField />
      sandql
    </GraphiQL.Logo>
  </GraphiQL>,
);
