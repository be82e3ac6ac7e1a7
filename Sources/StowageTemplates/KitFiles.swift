// SPDX-License-Identifier: Apache-2.0
internal import CStowageTemplates

/// The files of the plug-in kit that lie in this executable.
public enum KitFiles {
  /// Every file's path below plugin-sdk, in order.
  public static var paths: [String] {
    (0..<stowage_template_file_count()).map { String(cString: stowage_template_file_at($0).pointee.path) }.sorted()
  }

  /// The text of a file; nil if there is none of this path.
  public static func text(_ path: String) -> String? {
    for index in 0..<stowage_template_file_count() {
      let file = stowage_template_file_at(index).pointee
      guard String(cString: file.path) == path else { continue }
      return String(decoding: UnsafeBufferPointer(start: file.bytes, count: file.byte_count), as: UTF8.self)
    }
    return nil
  }
}
