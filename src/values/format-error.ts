/** The error of files and patterns that others wrote, and how their text is made fit to be shown. The command prints through it too. */

/** Characters of a message at most. */
export const MESSAGE_LIMIT = 2000;

/** Bytes or names that a format does not allow; nothing was read or written. */
export class FormatError extends Error {
  override readonly name = 'FormatError';

  constructor(message: string, options?: ErrorOptions) {
    super(messageText(message), options);
  }
}

/** A message of one line and limited length, whatever names went into it: its beginning and its end. */
export function messageText(message: string): string {
  if (typeof message !== 'string') return typeof message;
  // Cut before it is escaped: of a long name little is looked at.
  const text = printable(cut(message, MESSAGE_LIMIT));
  return text.length > MESSAGE_LIMIT ? cut(text, MESSAGE_LIMIT) : text;
}

function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const note = ` ... ${text.length - limit} more characters ... `;
  const left = limit - note.length;
  const head = Math.ceil(left * 0.6);
  return `${text.slice(0, head)}${note}${text.slice(text.length - left + head)}`;
}

/**
 * Text without what changes how a terminal shows the rest: control characters, those that turn the direction of writing or
 * show nothing, and halves of characters become `\uXXXX`, which in JSON means the same.
 * @param keepLines - whether line feeds stay
 */
export function printable(text: string, keepLines = false): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (found) =>
    keepLines && found === '\n'
      ? found
      : Array.from({ length: found.length }, (_, i) => escaped(found.charCodeAt(i))).join(''),
  );
}

const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

/** The first of many names, for a message. */
export function listed(names: readonly string[]): string {
  const first = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${first} and ${names.length - 20} more` : first || 'none';
}
