// What the bundler (../../bundle) makes of imports that TypeScript does not know.

declare module "*.css";

/** The address of a worker that is bundled of this file. */
declare module "*?worker" {
  const address: string;
  export default address;
}
