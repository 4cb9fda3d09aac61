import { Document, isMap, isScalar, type YAMLMap } from 'yaml'
import { hideSecrets } from '../lib/secrets.ts'
import type { LoadedConfig } from './load.ts'

/** The effective settings as YAML, secrets hidden; whatever does not come from the defaults says where it comes from. */
export function renderConfig({ config, origin }: LoadedConfig): string {
  const document = new Document(hideSecrets(config))
  if (isMap(document.contents)) annotate(document.contents, '', origin)
  return document.toString({ lineWidth: 120 })
}

function annotate(group: YAMLMap, at: string, origin: (path: string) => string): void {
  for (const pair of group.items) {
    const path = at === '' ? String(pair.key) : `${at}.${String(pair.key)}`
    const from = origin(path)
    if (isMap(pair.value)) annotate(pair.value, path, origin)
    else if (!from.startsWith('config/meltica.yaml') && isScalar(pair.value)) pair.value.comment = ` ${from}`
  }
}
