// The page at /.

export default function Home() {
  return <main><h1>Portcullis</h1></main>;
}
