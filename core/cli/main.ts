export async function runCommandLine(a:string[]):Promise<number>{ console.log(a); throw new Error('x') }
