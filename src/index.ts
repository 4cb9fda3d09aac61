/**
 * What a program that reads Meltica's streams needs, whatever Redis client it uses: the wire contract as types and checks,
 * and a reader's place and book as pure steps.
 */
export {
  CONTRACT_VERSION,
  channelOf,
  type DecodedEntry,
  decodeEntry,
  ENTRY_FIELDS,
  type Entry,
  type EntryField,
  fieldsOf,
} from './bus/contract.ts'
export type { BookEntry, BookRecord, BookSource, BookSources } from './consumer/book-source.ts'
export { OpenBook, type OpenBookStep, openBook } from './consumer/open-book.ts'
export { BookReader, type BookStep, StreamCursor, type StreamStep } from './consumer/reader.ts'
export { CanonicalType, Channel, GapCause, type Level, Quality } from './domain/event.ts'
export { type Instrument, type Market, partitionOf } from './domain/instrument.ts'
