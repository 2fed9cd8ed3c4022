// One tab each, on a first visit; after that GraphiQL keeps the visitor's own tabs in localStorage.
// A tab's title is its operation's name. At most 32 characters a line: more is cut off in a window of 1280 pixels.
export const examples = [
  `mutation Hello {
  executeCode(
    language: "python"
    code: """
    from sys import version
    print("Hello from Python")
    print(version)
    """
  ) {
    output
    stderr
    success
    outcome
    exitCode
    executionTime
    isolation {
      level
    }
  }
}
`,
  `# Lines arrive under Output.
# The stop button ends the run.
subscription Stream {
  executeCode(
    language: "python"
    code: """
    from time import sleep

    for n in range(1, 11):
        print(n, flush=True)
        sleep(0.3)
    """
  ) {
    __typename
    ... on ExecutionStarted {
      seq
      id
    }
    ... on ExecutionOutput {
      seq
      stream
      text
    }
    ... on ExecutionCompleted {
      seq
      result {
        outcome
        exitCode
        executionTime
      }
    }
  }
}
`,
  `# No sandboxId: your home,
# the sandbox whose files stay.
mutation WriteFile {
  writeFile(
    path: "notes/hello.txt"
    content: "Hello, file\\n"
  )
}
`,
  `# Run WriteFile first.
query ReadFiles {
  readFile(
    path: "notes/hello.txt"
  ) {
    path
    content
    size
    encoding
  }
  listFiles(path: "notes")
  files(
    path: "."
    recursive: true
  ) {
    name
    path
    type
    size
    modifiedAt
  }
}
`,
  `query Server {
  languages {
    name
    aliases
    version
    available
  }
  providers {
    name
    isDefault
  }
}
`,
];
