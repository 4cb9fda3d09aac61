import { createHash } from 'node:crypto'
import { curlOf, schemaText } from './docs-text.ts'
import type { ApiDocument } from './openapi.ts'
import { PROBLEMS, type ProblemKind } from './problems.ts'

/** What one operation of the document says, as far as the page shows it. */
interface DocumentedOperation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description: string
  readonly parameters?: readonly DocumentedParameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> }
  readonly responses: Readonly<Record<string, DocumentedResponse>>
}
interface DocumentedParameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly description?: string
  readonly schema: Readonly<Record<string, unknown>>
}
interface DocumentedResponse {
  readonly description: string
  readonly content?: Readonly<Record<string, { readonly schema: unknown }>>
}

type Schemas = Readonly<Record<string, unknown>>

export interface DocsPage {
  readonly html: string
  /** Content-Security-Policy: its own style by hash and nothing else. */
  readonly policy: Record<string, string[]>
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --link: light-dark(#0550ae, #79b8ff) }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem 1.5rem 4rem }
h1 { margin: .5rem 0 0 } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; text-transform: capitalize }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
nav { columns: 3 16rem; margin: 1.5rem 0 } nav div { break-inside: avoid; margin-bottom: .6rem } nav b { text-transform: capitalize }
nav a { display: block; font-size: 13px }
details > div { scroll-margin-top: 4rem }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0 } details > div { padding: 0 1rem 1rem }
summary { cursor: pointer; padding: .5rem .8rem } summary span { opacity: .75 }
summary code { font-weight: 600 }
.method { display: inline-block; border-radius: 4px; color: #fff; font: 600 12px/1.7 ui-monospace, monospace; margin-right: .5rem; padding: 0 .4rem; min-width: 3.6rem; text-align: center; opacity: 1 }
.get { background: #1a6fb5 } .post { background: #1d7f45 } .patch { background: #9a6700 } .delete { background: #b5302a }
code, pre { font: 13px/1.5 ui-monospace, monospace } pre { background: var(--soft); border-radius: 6px; margin: .4rem 0; overflow-x: auto; padding: .6rem .8rem }
table { border-collapse: collapse; width: 100% } td, th { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top }
h4 { margin: 1rem 0 .2rem } tr:target, details:has(> :target) { outline: 2px solid var(--link) }
`

/** The document for people: one page without scripts, fonts or anything else from elsewhere. */
export function docsPage(document: ApiDocument): DocsPage {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => ({ path, method, one: one as DocumentedOperation })),
  )
  const byTag = [...Map.groupBy(operations, ({ one }) => one.tags[0] ?? '')]
  const schemas = (document.components.schemas ?? {}) as Schemas
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${text(document.info.title)}</title><style>${STYLE}</style></head><body>
<h1>${text(document.info.title)}</h1>
<p>${text(document.info.description ?? '')}</p>
<p>For programs: <a href="/v1/openapi.json">/v1/openapi.json</a> (OpenAPI ${text(document.openapi)}).</p>
<nav>${byTag.map(([tag, group]) => navigation(tag, group)).join('')}</nav>
${byTag.map(([tag, group]) => `<h2>${text(tag)}</h2>${group.map((one) => operation(one, schemas)).join('')}`).join('\n')}
<h2>Objects</h2>
${Object.entries(schemas).map(objectSection).join('\n')}
<h2>Problems</h2>
<p>Every refusal is an <code>application/problem+json</code> document (RFC 9457); its <code>type</code> leads here.</p>
<table>${Object.keys(PROBLEMS)
    .map((kind) => problemRow(kind as ProblemKind))
    .join('')}</table>
</body></html>
`
  const hash = createHash('sha256').update(STYLE).digest('base64')
  const policy = { 'default-src': ["'none'"], 'style-src': [`'sha256-${hash}'`], 'base-uri': ["'none'"] }
  return { html, policy: { ...policy, 'form-action': ["'none'"], 'frame-ancestors': ["'none'"] } }
}

interface Listed {
  readonly path: string
  readonly method: string
  readonly one: DocumentedOperation
}

function navigation(tag: string, group: readonly Listed[]): string {
  const links = group.map(({ one }) => `<a href="#${text(one.operationId)}">${text(one.summary)}</a>`)
  return `<div><b>${text(tag)}</b>${links.join('')}</div>`
}

/** A link to what stands inside a folded part unfolds it, without any script. */
function operation({ path, method, one }: Listed, schemas: Schemas): string {
  const given = one.requestBody?.content['application/json']?.schema as { readonly $ref?: string } | undefined
  const body = given?.$ref === undefined ? given : schemas[given.$ref.split('/').at(-1) ?? '']
  return `<details><summary><span class="method ${method}">${method.toUpperCase()}</span><code>${text(path)}</code> <span>${text(one.summary)}</span></summary><div id="${text(one.operationId)}">
<p>${text(one.description).replace(/`([^`]+)`/g, '<code>$1</code>')}</p>
${one.parameters === undefined ? '' : `<h4>Parameters</h4><table>${one.parameters.map(parameter).join('')}</table>`}
${body === undefined ? '' : `<h4>Body</h4>${schema(body)}`}
<h4>Answers</h4><table>${Object.entries(one.responses).map(answer).join('')}</table>
<h4>By hand</h4><pre>${text(curlOf(method, path, body !== undefined))}</pre></div></details>`
}

function parameter({ name, in: where, required, description, schema: one }: DocumentedParameter): string {
  const how = `${where}${required ? '' : ', optional'}`
  return `<tr><td><code>${text(name)}</code></td><td>${how}</td><td><code>${schemaHtml(one)}</code></td><td>${text(description ?? String(one.description ?? ''))}</td></tr>`
}

function answer([status, { description, content = {} }]: [string, DocumentedResponse]): string {
  const told = text(description).replace(/\/docs(#problem-[a-z-]+)/g, '<a href="$1">$1</a>')
  const shapes = Object.entries(content)
    .filter(([type]) => type !== 'application/problem+json')
    .map(([, shape]) => schema(shape.schema))
  return `<tr><td><code>${text(status)}</code></td><td>${told}${shapes.join('')}</td></tr>`
}

function objectSection([name, one]: [string, unknown]): string {
  return `<details><summary><code>${text(name)}</code></summary><div id="object-${text(name)}">${schema(one)}</div></details>`
}

function problemRow(kind: ProblemKind): string {
  const { status, title } = PROBLEMS[kind]
  return `<tr id="problem-${kind}"><td><code>${kind}</code></td><td>${status}</td><td>${text(title)}</td></tr>`
}

const schema = (one: unknown): string => `<pre>${schemaHtml(one)}</pre>`
const schemaHtml = (one: unknown): string => text(schemaText(one)).replace(/@(\w+)/g, '<a href="#object-$1">$1</a>')

function text(plain: string): string {
  return plain.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`)
}
