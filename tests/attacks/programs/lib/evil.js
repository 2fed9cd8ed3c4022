// Planted for a helper of the house to load by mistake; in the run itself it is harmless.
if (JSON.stringify(process.env).includes(['sandql', 'secret', ''].join('-'))) console.log('ESCAPED: planted module saw a secret');
