/** The parameter whose moment an optimizer calls `<parameter>/<moment>`. */
export function parameterOf(moment: string): string {
  return moment.slice(0, moment.lastIndexOf('/'));
}
