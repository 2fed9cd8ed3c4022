// Where the visitor enters a token or an API key, and sees whether the server wants one.
import { useGraphiQLActions } from '@graphiql/react';
import { useSyncExternalStore } from 'react';
import { current, enter, subscribe } from './credential';

export function CredentialField() {
  const { value, refused, wanted } = useSyncExternalStore(subscribe, current);
  const { introspect } = useGraphiQLActions();

  if (!wanted) return null;

  function take(text: string) {
    if (enter(text)) void introspect(); // which fields there are depends on who asks
  }

  return (
    <label className="credential" data-refused={refused}>
      <span role="status">{refused && (value ? 'Not valid' : 'Credential needed')}</span>
      <input
        type="text"
        className="graphiql-un-styled"
        aria-label="Credential"
        placeholder="token or API key"
        autoComplete="off"
        spellCheck={false}
        onBlur={event => take(event.target.value)}
        onKeyDown={event => event.key === 'Enter' && take(event.currentTarget.value)}
      />
    </label>
  );
}
