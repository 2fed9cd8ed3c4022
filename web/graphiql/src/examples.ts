// One tab each, on a first visit; after that GraphiQL keeps the visitor's own tabs in localStorage.
// A tab's title is its operation's name.
export const examples = [
  `mutation Hello {
  executeCode(
    language: "python"
    code: """
    import platform
    print("Hello from Python")
    print(platform.python_version())
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
  `# See the lines arrive in the Output panel.
# The stop button stops the program.
subscription Stream {
  executeCode(
    language: "python"
    code: """
    import time

    for number in range(1, 11):
        print("line", number, flush=True)
        time.sleep(0.3)
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
  `# Without a sandboxId: your home sandbox,
# which is kept.
mutation WriteFile {
  writeFile(path: "notes/hello.txt", content: "Hello from GraphiQL\\n")
}
`,
  `# Run WriteFile first.
query ReadFiles {
  readFile(path: "notes/hello.txt") {
    path
    content
    size
    encoding
  }
  listFiles(path: "notes")
  files(path: ".", recursive: true) {
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
